//! The nftables ruleset: `NFT_MSG_GET*` over nfnetlink. Needs CAP_NET_ADMIN.
//!
//! The parts of a ruleset are separate listings. They belong together only if no commit came between, which
//! the generation id tells: it is asked for before and after, and everything is read again if it moved.

mod expr;
mod listing;
mod message;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use netwhy_facts::Reading;
use netwhy_facts::nft::{Expr, Nft, NftFamily, NftRule, NftSet};
use netwhy_facts::xtables::{XtMatch, XtTarget};
use netwhy_sys::Errno;
use netwhy_sys::netlink::{NetlinkError, Protocol, Socket};
use netwhy_wire::netlink::Builder;

pub use self::expr::{expression, expressions};
pub use self::listing::{NftElements, NftListing};
pub use self::message::{chain, elements, flowtable, generation, object, rule, set, table};

use crate::collector::Collector;
use crate::error::CollectError;
use crate::kernel::NF_TABLES;
use crate::xtables::{Context, Net, xt_match, xt_target};

/// `NFNL_SUBSYS_NFTABLES << 8`.
const SUBSYSTEM: u16 = 10 << 8;
const GETTABLE: u16 = SUBSYSTEM | 1;
const GETCHAIN: u16 = SUBSYSTEM | 4;
const GETRULE: u16 = SUBSYSTEM | 7;
const GETSET: u16 = SUBSYSTEM | 10;
const GETSETELEM: u16 = SUBSYSTEM | 13;
const GETGEN: u16 = SUBSYSTEM | 16;
const GETOBJ: u16 = SUBSYSTEM | 19;
const GETFLOWTABLE: u16 = SUBSYSTEM | 23;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;

/// How often a ruleset that is committed to meanwhile is read.
const TRIES: u32 = 5;
/// Elements kept of all sets together: about 20 MB. A set that does not fit reads as not read.
const MAX_ELEMENTS: usize = 100_000;

impl Collector {
    /// The ruleset of the namespace, of one generation. Elements are read of sets that a rule refers to, up
    /// to 100,000 of all sets together.
    pub fn nft(&self) -> Reading<Nft> {
        self.nft_bounded(MAX_ELEMENTS)
    }

    /// As [`Self::nft`], with another bound on elements.
    pub fn nft_bounded(&self, max_elements: usize) -> Reading<Nft> {
        Self::reading("NFT_MSG_GET*", "CAP_NET_ADMIN", || {
            self.require(NF_TABLES)?;
            // A bounded listing is given up in the middle, so it does not go over the shared socket.
            self.netlink(Protocol::Netfilter, |_| Ok(()))?;
            let open = || Ok(self.inside(|| Socket::open(Protocol::Netfilter))??);
            let mut nft = read(open, max_elements)?;
            let set_name = |index| self.ipset_name(index);
            nft.rules.iter_mut().for_each(|rule| decode_compat(rule, &set_name));
            Ok(nft)
        })
    }
}

fn read(open: impl Fn() -> Result<Socket, CollectError>, max_elements: usize) -> Result<Nft, CollectError> {
    let mut socket = open()?;
    let mut before = ask_generation(&mut socket)?;
    for _ in 0..TRIES {
        let read = read_once(&open, &mut socket, before, max_elements);
        let after = ask_generation(&mut socket)?;
        match read {
            Ok(nft) if before == after => return Ok(nft),
            // What was listed is gone or changed because of the commit: not an error of its own.
            Ok(_) | Err(CollectError::Netlink(NetlinkError::Interrupted { .. })) => {}
            Err(_) if before != after => {}
            Err(error) => return Err(error),
        }
        before = after;
    }
    Err(CollectError::malformed("nftables ruleset", format!("was changed during each of {TRIES} readings")))
}

fn ask_generation(socket: &mut Socket) -> Result<u32, CollectError> {
    let replies = socket.request(GETGEN, 0, &header(0)).map_err(|error| match error.errno() {
        // nfnetlink's answer for a subsystem that is not registered.
        Some(errno) if errno == Errno::EINVAL => {
            CollectError::Missing("nf_tables is not in this kernel".into())
        }
        _ => error.into(),
    })?;
    let id = replies.first().and_then(|reply| generation(&reply.payload));
    id.ok_or_else(|| CollectError::malformed("NFT_MSG_NEWGEN", "has no NFTA_GEN_ID"))
}

/// `struct nfgenmsg` with version and resource id 0.
const fn header(family: u8) -> [u8; 4] {
    [family, 0, 0, 0]
}

fn read_once(
    open: &impl Fn() -> Result<Socket, CollectError>,
    socket: &mut Socket,
    generation: u32,
    max_elements: usize,
) -> Result<Nft, CollectError> {
    let mut nft = Nft {
        generation,
        tables: list(socket, GETTABLE, "NFT_MSG_NEWTABLE", table)?,
        chains: list(socket, GETCHAIN, "NFT_MSG_NEWCHAIN", chain)?,
        rules: list(socket, GETRULE, "NFT_MSG_NEWRULE", rule)?,
        sets: list(socket, GETSET, "NFT_MSG_NEWSET", set)?,
        objects: list(socket, GETOBJ, "NFT_MSG_NEWOBJ", object)?,
        flowtables: list_or_none(socket, GETFLOWTABLE, "NFT_MSG_NEWFLOWTABLE", flowtable)?,
        legacy_first: false,
    };
    mark_compat(&mut nft.rules);
    let wanted = references(&nft.rules);
    let mut left = max_elements;
    let mut socket = None;
    for set in &mut nft.sets {
        if !wanted.contains(&(set.family, set.table.as_str(), set.name.as_str())) {
            continue;
        }
        let own = match socket.take() {
            Some(socket) => socket,
            None => open()?,
        };
        socket = read_elements(own, set, &mut left)?;
    }
    Ok(nft)
}

fn list<T>(
    socket: &mut Socket,
    kind: u16,
    what: &'static str,
    decode: fn(&[u8]) -> Option<T>,
) -> Result<Vec<T>, CollectError> {
    socket.dump_into(
        kind,
        0,
        &header(0),
        || Ok(Vec::new()),
        |list, _, payload| match (decode(payload), &mut *list) {
            (Some(one), Ok(list)) => {
                list.push(one);
                ControlFlow::Continue(())
            }
            (None, _) => {
                *list = Err(CollectError::malformed(what, "lacks its family, table or name"));
                ControlFlow::Break(())
            }
            (_, Err(_)) => ControlFlow::Break(()),
        },
    )?
}

/// As [`list`], for a listing that kernels before 4.16 do not have.
fn list_or_none<T>(
    socket: &mut Socket,
    kind: u16,
    what: &'static str,
    decode: fn(&[u8]) -> Option<T>,
) -> Result<Vec<T>, CollectError> {
    match list(socket, kind, what, decode) {
        Err(error) if error.errno().is_some_and(|errno| errno == Errno::EINVAL || errno.is_unsupported()) => {
            Ok(Vec::new())
        }
        other => other,
    }
}

/// The kernel takes `NFTA_RULE_COMPAT` from iptables-nft and does not give it back. A table is taken to be
/// iptables-nft's if one of its rules holds a match or target of xtables; nft(8) goes by the same sign.
fn mark_compat(rules: &mut [NftRule]) {
    let shows = |rule: &NftRule| {
        rule.compat || rule.exprs.iter().any(|expr| matches!(expr, Expr::Match { .. } | Expr::Target { .. }))
    };
    let tables: BTreeSet<_> =
        rules.iter().filter(|rule| shows(rule)).map(|rule| (rule.family, rule.table.clone())).collect();
    for rule in rules {
        rule.compat = tables.iter().any(|(family, table)| *family == rule.family && *table == rule.table);
    }
}

/// Says what the matches and targets of xtables in a rule mean.
fn decode_compat(rule: &mut NftRule, set_name: &dyn Fn(u16) -> Option<String>) {
    let net = match rule.family {
        NftFamily::Ip6 => Net::Ipv6,
        NftFamily::Bridge => Net::Bridge,
        NftFamily::Arp => Net::Arp,
        _ => Net::Ipv4,
    };
    let context = Context { net, set_name };
    for expr in &mut rule.exprs {
        match expr {
            Expr::Match { name, revision, info, decoded } => {
                let Ok(revision) = u8::try_from(*revision) else { continue };
                let one = xt_match(&context, name, revision, info);
                *decoded = (!matches!(one, XtMatch::Unknown { .. })).then(|| Box::new(one));
            }
            Expr::Target { name, revision, info, decoded } => {
                let Ok(revision) = u8::try_from(*revision) else { continue };
                let one = xt_target(&context, name, revision, info);
                *decoded = (!matches!(one, XtTarget::Unknown { .. })).then(|| Box::new(one));
            }
            _ => {}
        }
    }
}

/// Sets that rules refer to.
fn references(rules: &[NftRule]) -> BTreeSet<(NftFamily, &str, &str)> {
    let mut found = BTreeSet::new();
    for rule in rules {
        for expr in &rule.exprs {
            if let Expr::Lookup { set, .. } | Expr::Dynset { set, .. } | Expr::ObjrefMap { set, .. } = expr {
                found.insert((rule.family, rule.table.as_str(), set.as_str()));
            }
        }
    }
    found
}

/// The request for the elements of a set.
fn elements_request(set: &NftSet) -> Result<Vec<u8>, CollectError> {
    let mut request = Builder::with_header(&header(set.family.number()));
    request.str(NFTA_SET_ELEM_LIST_TABLE, &set.table).str(NFTA_SET_ELEM_LIST_SET, &set.name);
    Ok(request.finish()?)
}

/// Reads a set's elements if no more than `left` of them are there. Gives the socket back unless the listing
/// was given up: its rest would have to be read first.
fn read_elements(
    mut socket: Socket,
    set: &mut NftSet,
    left: &mut usize,
) -> Result<Option<Socket>, CollectError> {
    let request = elements_request(set)?;
    let bound = *left;
    let (read, whole) = socket.dump_into(
        GETSETELEM,
        0,
        &request,
        || (Vec::new(), true),
        |(read, whole), _, payload| {
            read.extend(elements(payload));
            *whole = read.len() <= bound;
            if *whole { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        },
    )?;
    if !whole {
        return Ok(None);
    }
    *left -= read.len();
    set.elements = read;
    set.elements_read = true;
    Ok(Some(socket))
}

#[cfg(test)]
mod tests;
