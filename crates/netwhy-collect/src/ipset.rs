//! ipsets that rules refer to: nfnetlink subsystem IPSET (uapi `linux/netfilter/ipset/ip_set.h`), protocol 7
//! and 6. Needs CAP_NET_ADMIN. Only asked when ip_set is there: the question would load it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::ControlFlow;

use netwhy_facts::Reading;
use netwhy_facts::ipset::{Ipset, Ipsets};
use netwhy_facts::nft::{Expr, Nft};
use netwhy_facts::xtables::{XtMatch, XtTarget, Xtables};
use netwhy_sys::netlink::{Protocol, Socket};
use netwhy_wire::netlink::Builder;

use crate::collector::Collector;
use crate::error::CollectError;
use crate::fields::{self, Fields};
use crate::kernel::IP_SET;

/// `NFNL_SUBSYS_IPSET << 8`.
const SUBSYSTEM: u16 = 6 << 8;
const LIST: u16 = SUBSYSTEM | 7;
const GET_BYINDEX: u16 = SUBSYSTEM | 15;
const PROTOCOL: u16 = 1;
const SETNAME: u16 = 2;
const INDEX: u16 = 11;
/// `IPSET_ATTR_DATA`: one member in the list of `IPSET_ATTR_ADT`.
const DATA: u16 = 7;
/// Protocol versions, the newer first.
const VERSIONS: [u8; 2] = [7, 6];
/// Members kept of one set.
const MAX_MEMBERS: usize = 65_536;
/// Sets of sets lead on to others; no kernel nests them, but names may be many.
const MAX_SETS: usize = 256;

impl Collector {
    /// The named sets and, through sets of sets, those they hold. A name nobody has is left out.
    pub fn ipsets(&self, names: &BTreeSet<String>) -> Reading<Ipsets> {
        Self::reading("IPSET_CMD_LIST", "CAP_NET_ADMIN", || {
            self.require(IP_SET)?;
            self.netlink(Protocol::Netfilter, |_| Ok(()))?;
            let open = || Ok(self.inside(|| Socket::open(Protocol::Netfilter))??);
            let mut found: Vec<Ipset> = Vec::new();
            let mut wanted: Vec<String> = names.iter().cloned().collect();
            while let Some(name) = wanted.pop() {
                if found.len() >= MAX_SETS || found.iter().any(|set| set.name == name) {
                    continue;
                }
                let Some(set) = read(open, &name, MAX_MEMBERS)? else { continue };
                if set.set_type == "list:set" {
                    wanted.extend(
                        set.members.iter().filter_map(|one| one.split(' ').next()).map(str::to_owned),
                    );
                }
                found.push(set);
            }
            found.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(Ipsets(found))
        })
    }

    /// The sets that rules refer to. Without any such rule nothing is asked, and the answer is empty.
    pub fn ipsets_of(&self, xtables: &Reading<Xtables>, nft: &Reading<Nft>) -> Reading<Ipsets> {
        let names = referenced(xtables.value(), nft.value());
        if names.is_empty() {
            return Self::reading("rules", "CAP_NET_ADMIN", || Ok(Ipsets::default()));
        }
        self.ipsets(&names)
    }

    /// The name of the set with a number; rules of xtables know sets by it. Since protocol 7 (Linux 4.20).
    pub(crate) fn ipset_name(&self, index: u16) -> Option<String> {
        self.require(IP_SET).ok()?;
        let answer = self.netlink(Protocol::Netfilter, |socket| {
            let mut request = header(7);
            request.be16(INDEX, index);
            Ok(socket.request(GET_BYINDEX, 0, &request.finish()?)?)
        });
        let payload = answer.ok()?.into_iter().next()?.payload;
        Fields::of(payload.get(4..)?).text(SETNAME.into())
    }
}

/// Names of sets in matches and targets.
fn referenced(xtables: Option<&Xtables>, nft: Option<&Nft>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut add_match = |one: &XtMatch| {
        if let XtMatch::Set { set, .. } = one {
            names.insert(set.clone());
        }
    };
    let tables = xtables.into_iter().flat_map(|all| &all.0).filter_map(|table| table.chains.value());
    for rule in tables.flatten().flat_map(|chain| &chain.rules) {
        rule.matches.iter().for_each(&mut add_match);
    }
    for expr in nft.into_iter().flat_map(|nft| &nft.rules).flat_map(|rule| &rule.exprs) {
        if let Expr::Match { decoded: Some(one), .. } = expr {
            add_match(one);
        }
    }
    let tables = xtables.into_iter().flat_map(|all| &all.0).filter_map(|table| table.chains.value());
    for rule in tables.flatten().flat_map(|chain| &chain.rules) {
        if let XtTarget::Set { add, del, map } = &rule.target {
            names.extend([add, del, map].into_iter().flatten().cloned());
        }
    }
    names
}

fn header(version: u8) -> Builder {
    let mut request = Builder::with_header(&[2, 0, 0, 0]);
    request.u8(PROTOCOL, version);
    request
}

/// Reads a set; `None` if there is none of that name.
fn read(
    open: impl Fn() -> Result<Socket, CollectError>,
    name: &str,
    max_members: usize,
) -> Result<Option<Ipset>, CollectError> {
    let mut refused = None;
    for version in VERSIONS {
        let mut request = header(version);
        request.str(SETNAME, name);
        let mut set: Option<Ipset> = None;
        // A listing that goes past its bound is given up: the socket goes with it.
        let listed = open()?.dump(LIST, 0, &request.finish()?, |_, payload| {
            let whole = add(&mut set, payload, max_members);
            if whole { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        match listed {
            Ok(()) => return Ok(set),
            Err(error) => match error.errno().map(|errno| (errno.name(), errno.number())) {
                Some(("ENOENT", _)) => return Ok(None),
                // IPSET_ERR_PROTOCOL: another version, perhaps.
                Some((_, 4097)) => refused = Some(error),
                _ => return Err(error.into()),
            },
        }
    }
    Err(refused.map_or_else(|| CollectError::malformed("ipset", "no protocol version fits"), Into::into))
}

/// Adds one message of a listing; `false` when the set has more members than are kept.
pub fn add(set: &mut Option<Ipset>, payload: &[u8], max_members: usize) -> bool {
    let f = Fields::of(payload.get(4..).unwrap_or(&[]));
    // Only the first message of a set says what it is; the others go on with its members.
    if let (Some(name), Some(set_type)) = (f.text(SETNAME.into()), f.text(3)) {
        set.get_or_insert_with(|| Ipset {
            name,
            index: f.be16(INDEX.into()),
            set_type,
            family: f.u8(5).unwrap_or(0),
            members: Vec::new(),
            complete: true,
        });
    }
    let Some(set) = set else { return true };
    for nest in fields::list(f.bytes(8).unwrap_or(&[]), DATA) {
        if set.members.len() >= max_members {
            set.complete = false;
            break;
        }
        set.members.push(member(&set.set_type, nest));
    }
    set.complete
}

/// A member in the words of ipset(8), without counters and comments.
pub fn member(set_type: &str, nest: &[u8]) -> String {
    let f = Fields::of(nest);
    let mut parts = Vec::new();
    let mut second = false;
    for field in set_type.split_once(':').map_or("", |(_, fields)| fields).split(',') {
        let part = match field {
            "ip" | "net" => {
                let at = if second { (20, 22, 21) } else { (1, 2, 3) };
                second = true;
                network(&f, at)
            }
            "port" => port(&f),
            "mac" => f.bytes(17).map(mac),
            "iface" => {
                let physical = if flags(&f) & 2 != 0 { "physdev:" } else { "" };
                f.text(23).map(|device| format!("{physical}{device}"))
            }
            "mark" => f.be32(10).map(|mark| format!("{mark:#x}")),
            "set" => f.text(18),
            _ => None,
        };
        parts.extend(part);
    }
    let mut text = parts.join(",");
    if flags(&f) & 4 != 0 {
        text.push_str(" nomatch");
    }
    if flags(&f) & 0x80 != 0 {
        text.push_str(" wildcard");
    }
    if let Some(seconds) = f.be32(6) {
        text.push_str(&format!(" timeout {seconds}"));
    }
    text
}

/// `IPSET_ATTR_CADT_FLAGS`: 2 physical device, 4 exception, 0x80 device prefix.
fn flags(f: &Fields<'_>) -> u32 {
    f.be32(8).unwrap_or(0)
}

/// An address, a prefix or a range; `at` holds the attributes of its first, its last and its length.
fn network(f: &Fields<'_>, (from, to, len): (usize, usize, usize)) -> Option<String> {
    let address = |kind| -> Option<IpAddr> {
        let nest = Fields::of(f.bytes(kind)?);
        match (nest.bytes(1), nest.bytes(2)) {
            (Some(four), _) => <[u8; 4]>::try_from(four).ok().map(IpAddr::from),
            (None, six) => <[u8; 16]>::try_from(six?).ok().map(IpAddr::from),
        }
    };
    let first = address(from)?;
    let whole = netwhy_facts::Family::of(&first).bits();
    Some(match (f.u8(len).filter(|len| *len != whole), address(to)) {
        (Some(len), _) => format!("{first}/{len}"),
        (None, Some(last)) => format!("{first}-{last}"),
        (None, None) => first.to_string(),
    })
}

fn port(f: &Fields<'_>) -> Option<String> {
    let port = f.be16(4)?;
    let text = match f.be16(5) {
        Some(last) if last != port => format!("{port}-{last}"),
        _ => port.to_string(),
    };
    let [kind, code] = port.to_be_bytes();
    Some(match f.u8(7) {
        // bitmap:port knows no protocol.
        None => text,
        Some(1) => format!("icmp:{kind}/{code}"),
        Some(58) => format!("icmpv6:{kind}/{code}"),
        Some(6) => format!("tcp:{text}"),
        Some(17) => format!("udp:{text}"),
        Some(132) => format!("sctp:{text}"),
        Some(136) => format!("udplite:{text}"),
        Some(other) => format!("{other}:{text}"),
    })
}

fn mac(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{damage, recorded};

    const RECORDED: &str = include_str!("../fixtures/ipset.txt");

    #[test]
    fn recorded_answers_decode() {
        let mut sets = Vec::new();
        for (_, payload) in recorded(RECORDED) {
            let mut set = None;
            assert!(add(&mut set, &payload, 100));
            sets.extend(set);
        }
        let members = |name: &str| sets.iter().find(|set: &&Ipset| set.name == name).unwrap().members.clone();
        assert_eq!(members("ipportnet"), ["198.51.100.7,tcp:80,203.0.113.0/24"]);
        assert!(members("netiface").contains(&"203.0.113.0/24,physdev:eth1".to_owned()));
        assert!(members("net4").iter().any(|one| one.starts_with("10.0.0.0/8 nomatch")));
        assert_eq!(members("lists").len(), 2);
    }

    #[test]
    fn a_bound_cuts_and_says_so() {
        let all = recorded(RECORDED);
        let (_, payload) = all.iter().max_by_key(|(_, payload)| payload.len()).unwrap();
        let mut set = None;
        assert!(!add(&mut set, payload, 1));
        assert!(set.is_some_and(|set| set.members.len() == 1 && !set.complete));
    }

    #[test]
    fn damaged_answers_end_without_panic() {
        for (_, payload) in recorded(RECORDED) {
            damage(&payload, 1000, |broken| _ = add(&mut None, broken, 50));
        }
    }
}
