//! Matches and targets in the words of `iptables -L`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netwhy_facts::xtables::{XtMatch, XtRule, XtTarget, XtVerdict};
use netwhy_walk::xt_rule_text;

/// Names of ports, users and hosts, from files: name servers are not asked.
pub(super) struct Names {
    /// Whether names are wanted.
    pub(super) on: bool,
    pub(super) six: bool,
    services: BTreeMap<(u16, bool), String>,
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
    hosts: BTreeMap<IpAddr, String>,
}

impl Names {
    pub(super) fn new(on: bool, six: bool) -> Self {
        let read =
            |path: &str| if on { std::fs::read_to_string(path).unwrap_or_default() } else { String::new() };
        let mut names = Names {
            on,
            six,
            services: BTreeMap::new(),
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            hosts: BTreeMap::new(),
        };
        for line in read("/etc/services").lines() {
            let mut words = line.split('#').next().unwrap_or("").split_whitespace();
            let (Some(name), Some((port, proto))) =
                (words.next(), words.next().and_then(|word| word.split_once('/')))
            else {
                continue;
            };
            if let Ok(port) = port.parse() {
                names.services.entry((port, proto == "udp")).or_insert_with(|| name.to_owned());
            }
        }
        for (path, map) in [("/etc/passwd", &mut names.users), ("/etc/group", &mut names.groups)] {
            for line in read(path).lines() {
                let mut fields = line.split(':');
                if let (Some(name), Some(Ok(number))) = (fields.next(), fields.nth(1).map(str::parse)) {
                    map.entry(number).or_insert_with(|| name.to_owned());
                }
            }
        }
        for line in read("/etc/hosts").lines() {
            let mut words = line.split('#').next().unwrap_or("").split_whitespace();
            if let (Some(Ok(address)), Some(name)) = (words.next().map(str::parse), words.next()) {
                names.hosts.entry(address).or_insert_with(|| name.to_owned());
            }
        }
        names
    }

    /// A host's name, if a file knows it.
    pub(super) fn host(&self, text: &str) -> String {
        let known = text.parse().ok().and_then(|address: IpAddr| self.hosts.get(&address));
        known.cloned().unwrap_or_else(|| text.to_owned())
    }

    fn port(&self, port: u16, udp: bool) -> String {
        self.services.get(&(port, udp)).cloned().unwrap_or_else(|| port.to_string())
    }
}

fn not(invert: bool) -> &'static str {
    if invert { "!" } else { "" }
}

fn mask(mark: u32, mask: u32) -> String {
    if mask == u32::MAX { format!("{mark:#x}") } else { format!("{mark:#x}/{mask:#x}") }
}

/// `-L`'s words of a match, with a space before them; `udp` says whose names ports have.
pub(super) fn match_words(one: &XtMatch, names: &Names, udp: bool) -> String {
    match one {
        XtMatch::Tcp {
            sports,
            sports_inv,
            dports,
            dports_inv,
            flag_mask,
            flag_cmp,
            flags_inv,
            option,
            option_inv,
        } => {
            let mut out = String::from(" tcp");
            out.push_str(&port_words(names, false, "spt", *sports, *sports_inv));
            out.push_str(&port_words(names, false, "dpt", *dports, *dports_inv));
            if *option != 0 {
                out.push_str(&format!(" option={}{option}", not(*option_inv)));
            }
            if *flag_mask != 0 || *flags_inv {
                let flags = |bits: u8| if names.on { flag_names(bits) } else { format!("0x{bits:02X}") };
                out.push_str(&format!(
                    " flags:{}{}/{}",
                    not(*flags_inv),
                    flags(*flag_mask),
                    flags(*flag_cmp)
                ));
            }
            out
        }
        XtMatch::Udp { sports, sports_inv, dports, dports_inv } => {
            let mut out = String::from(" udp");
            out.push_str(&port_words(names, true, "spt", *sports, *sports_inv));
            out.push_str(&port_words(names, true, "dpt", *dports, *dports_inv));
            out
        }
        XtMatch::Icmp { icmp_type, codes, invert } => icmp(names, *icmp_type, *codes, *invert),
        XtMatch::Multiport { side, ports, invert } => {
            let side = ["sports", "dports", "ports"].get(usize::from(*side)).copied().unwrap_or("ports");
            let list: Vec<String> = ports
                .iter()
                .map(|(low, high)| match low == high {
                    true => names.port(*low, udp),
                    false => format!("{}:{}", names.port(*low, udp), names.port(*high, udp)),
                })
                .collect();
            format!(" multiport {side} {}{}", not(*invert), list.join(","))
        }
        XtMatch::Conntrack { .. } | XtMatch::State { .. } if is_state(one) => {
            let saved = saved(one);
            let state = saved.rsplit(' ').next().unwrap_or("");
            format!(" state {}{state}", not(saved.contains("! --state")))
        }
        XtMatch::Conntrack { .. } => {
            let text = saved(one);
            let text = text.strip_prefix("-m conntrack ").unwrap_or(&text);
            let words = text.split(' ').map(|word| word.strip_prefix("--").unwrap_or(word));
            format!(" {}", words.collect::<Vec<_>>().join(" "))
        }
        XtMatch::State { .. } => String::new(),
        XtMatch::Mark { mark, mask: bits, invert } => {
            format!(" mark match {}{}", if *invert { "!" } else { "" }, mask(*mark, *bits))
        }
        XtMatch::Connmark { mark, mask: bits, invert } => {
            format!(" connmark match {} {}", if *invert { "!" } else { "" }, mask(*mark, *bits))
        }
        XtMatch::Comment { text } => format!(" /* {} */", netwhy_render::escape::escape_terminal(text)),
        XtMatch::Limit { burst, .. } => {
            let text = saved(one);
            let rate = text.split(' ').nth(3).unwrap_or("");
            format!(" limit: avg {rate} burst {burst}")
        }
        XtMatch::Connlimit { limit, mask_len, flags } => {
            let side = if flags & 2 != 0 { "dst" } else { "src" };
            let sign = if flags & 1 != 0 { "<=" } else { ">" };
            format!(" #conn {side}/{mask_len} {sign} {limit}")
        }
        XtMatch::Addrtype { .. } => {
            let text = saved(one);
            let text = text.strip_prefix("-m addrtype").unwrap_or(&text).replace(" --", " ");
            format!(" ADDRTYPE match{}", text.replace("! ", "!"))
        }
        XtMatch::Iprange { src, src_inv, dst, dst_inv } => {
            let mut out = String::new();
            for (word, pair, invert) in [("source", src, src_inv), ("destination", dst, dst_inv)] {
                if let Some((from, to)) = pair {
                    let invert = if *invert { " !" } else { "" };
                    out.push_str(&format!(" {word} IP range{invert} {from}-{to}"));
                }
            }
            out
        }
        XtMatch::Mac { mac, invert } => {
            format!(" MAC{} {}", if *invert { " !" } else { "" }, mac.to_uppercase())
        }
        XtMatch::Owner { uid, gid, match_flags, invert_flags } => {
            let mut out = String::new();
            for (bit, word, range, known) in
                [(1_u8, "UID", uid, &names.users), (2, "GID", gid, &names.groups)]
            {
                if let Some((low, high)) = range.filter(|_| match_flags & bit != 0) {
                    let invert = if invert_flags & bit != 0 { "! " } else { "" };
                    let range = match (low == high, known.get(&low)) {
                        (true, Some(name)) => name.clone(),
                        (true, None) => low.to_string(),
                        (false, _) => format!("{low}-{high}"),
                    };
                    out.push_str(&format!(" {invert}owner {word} match {range}"));
                }
            }
            if match_flags & 4 != 0 {
                let invert = if invert_flags & 4 != 0 { "! " } else { "" };
                out.push_str(&format!(" {invert}owner socket exists"));
            }
            out
        }
        XtMatch::Set { invert, .. } => {
            let text = saved(one);
            let rest = text.split("--match-set ").nth(1).unwrap_or("");
            format!(" {}match-set {rest}", if *invert { "! " } else { "" })
        }
        XtMatch::Statistic { .. } => {
            let text = saved(one);
            let text = text.strip_prefix("-m statistic --").unwrap_or(&text).replace("--", "");
            format!(" statistic {text}")
        }
        XtMatch::Length { min, max, invert } => {
            let range = if min == max { min.to_string() } else { format!("{min}:{max}") };
            format!(" length {}{range}", not(*invert))
        }
        XtMatch::Ttl { mode, ttl } => {
            let sign = ["==", "!=", "<", ">"].get(usize::from(*mode)).copied().unwrap_or("==");
            format!(" TTL match TTL {sign} {ttl}")
        }
        XtMatch::Tos { value, mask, invert } => format!(" tos match{}{value:#04x}/{mask:#04x}", not(*invert)),
        XtMatch::Dscp { dscp, invert } => format!(" DSCP match {}{dscp:#04x}", not(*invert)),
        XtMatch::Pkttype { pkttype, invert } => {
            let kinds = ["unicast", "broadcast", "multicast"];
            let name = kinds.get(usize::from(*pkttype)).copied().unwrap_or("other");
            format!(" PKTTYPE {} {name}", if *invert { "!=" } else { "=" })
        }
        XtMatch::Physdev { .. } => {
            let text = saved(one);
            format!(" PHYSDEV match{}", text.strip_prefix("-m physdev").unwrap_or(&text))
        }
        XtMatch::Rpfilter { .. } => {
            let text = saved(one);
            format!(" rpfilter{}", text.strip_prefix("-m rpfilter").unwrap_or(&text).replace(" --", " "))
        }
        XtMatch::Tcpmss { min, max, invert } => {
            let range = if min == max { min.to_string() } else { format!("{min}:{max}") };
            format!(" tcpmss match {}{range}", not(*invert))
        }
        XtMatch::Socket { .. } => {
            let text = saved(one);
            format!(" socket{}", text.strip_prefix("-m socket").unwrap_or(&text))
        }
        XtMatch::Hashlimit { .. } | XtMatch::Recent { .. } | XtMatch::Unknown { .. } => {
            let text = saved(one);
            format!(" {}", text.strip_prefix("-m ").unwrap_or(&text))
        }
    }
}

/// Whether it was written as `-m state` (`XT_CONNTRACK_STATE_ALIAS`).
fn is_state(one: &XtMatch) -> bool {
    match one {
        XtMatch::Conntrack { match_flags, .. } => match_flags & (1 << 13) != 0,
        _ => true,
    }
}

/// The match as a command line has it.
fn saved(one: &XtMatch) -> String {
    let rule = XtRule {
        src: None,
        dst: None,
        odd_masks: None,
        iif: None,
        oif: None,
        proto: None,
        fragment: None,
        goto: false,
        matches: vec![one.clone()],
        target: XtTarget::Standard { verdict: XtVerdict::Continue },
        counters: (0, 0),
        extra: Vec::new(),
    };
    let text = xt_rule_text("C", &rule);
    text.strip_prefix("-A C ").unwrap_or(&text).to_owned()
}

fn port_words(names: &Names, udp: bool, word: &str, (low, high): (u16, u16), invert: bool) -> String {
    if (low, high) == (0, u16::MAX) && !invert {
        return String::new();
    }
    let port = |port| names.port(port, udp);
    match low == high {
        true => format!(" {word}:{}{}", not(invert), port(low)),
        false => format!(" {word}s:{}{}:{}", not(invert), port(low), port(high)),
    }
}

fn flag_names(bits: u8) -> String {
    let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];
    let set: Vec<&str> =
        names.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0).map(|(_, name)| *name).collect();
    match bits & 0x3f {
        0 => "NONE".to_owned(),
        0x3f => "ALL".to_owned(),
        _ => set.join(","),
    }
}

/// Names of ICMP types and codes in iptables' words.
const ICMP: &[(u8, Option<u8>, &str)] = &[
    (0, None, "echo-reply"),
    (3, None, "destination-unreachable"),
    (3, Some(0), "network-unreachable"),
    (3, Some(1), "host-unreachable"),
    (3, Some(2), "protocol-unreachable"),
    (3, Some(3), "port-unreachable"),
    (3, Some(4), "fragmentation-needed"),
    (3, Some(5), "source-route-failed"),
    (3, Some(9), "network-prohibited"),
    (3, Some(10), "host-prohibited"),
    (3, Some(13), "communication-prohibited"),
    (4, None, "source-quench"),
    (5, None, "redirect"),
    (8, None, "echo-request"),
    (9, None, "router-advertisement"),
    (10, None, "router-solicitation"),
    (11, None, "time-exceeded"),
    (11, Some(0), "ttl-zero-during-transit"),
    (11, Some(1), "ttl-zero-during-reassembly"),
    (12, None, "parameter-problem"),
    (13, None, "timestamp-request"),
    (14, None, "timestamp-reply"),
    (17, None, "address-mask-request"),
    (18, None, "address-mask-reply"),
];
const ICMPV6: &[(u8, Option<u8>, &str)] = &[
    (1, None, "destination-unreachable"),
    (1, Some(0), "no-route"),
    (1, Some(1), "communication-prohibited"),
    (1, Some(3), "address-unreachable"),
    (1, Some(4), "port-unreachable"),
    (2, None, "packet-too-big"),
    (3, None, "time-exceeded"),
    (4, None, "parameter-problem"),
    (128, None, "echo-request"),
    (129, None, "echo-reply"),
    (133, None, "router-solicitation"),
    (134, None, "router-advertisement"),
    (135, None, "neighbour-solicitation"),
    (136, None, "neighbour-advertisement"),
    (137, None, "redirect"),
];

fn icmp(names: &Names, kind: u8, (low, high): (u8, u8), invert: bool) -> String {
    let (table, word) = if names.six { (ICMPV6, "ipv6-icmp") } else { (ICMP, "icmp") };
    if kind == 0xff && !names.six {
        return if names.on { format!(" {word} any") } else { format!(" {word}type 255") };
    }
    let code = if (low, high) == (0, 0xff) { None } else { Some(low) };
    if names.on
        && let Some((_, _, name)) = table.iter().find(|(one, of, _)| *one == kind && *of == code)
    {
        return format!(" {word} {}{name}", not(invert));
    }
    let code = match code {
        None => String::new(),
        Some(code) if low == high => format!(" code {code}"),
        Some(_) => format!(" codes {low}-{high}"),
    };
    format!(" {word}type {}{kind}{code}", not(invert))
}

/// The name in the column `target`.
pub(super) fn target_name(target: &XtTarget) -> String {
    match target {
        XtTarget::Standard { verdict } => match verdict {
            XtVerdict::Accept => "ACCEPT".into(),
            XtVerdict::Drop => "DROP".into(),
            XtVerdict::Queue => "QUEUE".into(),
            XtVerdict::Return => "RETURN".into(),
            XtVerdict::Jump(chain) => chain.clone(),
            XtVerdict::Continue => String::new(),
        },
        XtTarget::Notrack => "CT".into(),
        other => {
            let text = target_saved(other);
            text.split(' ').next().unwrap_or("").to_owned()
        }
    }
}

/// The target as a command line has it, without `-j`.
fn target_saved(target: &XtTarget) -> String {
    let rule = XtRule {
        src: None,
        dst: None,
        odd_masks: None,
        iif: None,
        oif: None,
        proto: None,
        fragment: None,
        goto: false,
        matches: Vec::new(),
        target: target.clone(),
        counters: (0, 0),
        extra: Vec::new(),
    };
    let text = xt_rule_text("C", &rule);
    text.strip_prefix("-A C -j ").unwrap_or("").to_owned()
}

/// `-L`'s words of a target's options, with a space before them.
pub(super) fn target_words(target: &XtTarget, names: &Names) -> String {
    let text = target_saved(target);
    let options = text.split_once(' ').map_or("", |(_, rest)| rest);
    match target {
        XtTarget::Standard { .. } => String::new(),
        XtTarget::Notrack => " NOTRACK".into(),
        XtTarget::Reject { with } => format!(" reject-with {with}"),
        XtTarget::Log { prefix, level, flags } => {
            let mut out = String::from(" LOG");
            if names.on {
                let levels = ["emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"];
                match levels.get(usize::from(*level)) {
                    Some(name) => out.push_str(&format!(" level {name}")),
                    None => out.push_str(&format!(" UNKNOWN level {level}")),
                }
                for (bit, word) in [
                    (1, "tcp-sequence"),
                    (2, "tcp-options"),
                    (4, "ip-options"),
                    (8, "uid"),
                    (32, "macdecode"),
                ] {
                    if flags & bit != 0 {
                        out.push_str(&format!(" {word}"));
                    }
                }
            } else {
                out.push_str(&format!(" flags {flags} level {level}"));
            }
            if !prefix.is_empty() {
                out.push_str(&format!(" prefix \"{}\"", netwhy_render::escape::escape_terminal(prefix)));
            }
            out
        }
        XtTarget::Snat { .. } | XtTarget::Dnat { .. } | XtTarget::Netmap { .. } => {
            let to = options.split_once(' ').map_or("", |(_, rest)| rest);
            format!(" to:{}", to.replace(" --", " "))
        }
        XtTarget::Masquerade { .. } => {
            let text = options.replace("--to-ports ", "masq ports: ").replace("--", "");
            if text.is_empty() { String::new() } else { format!(" {text}") }
        }
        XtTarget::Redirect { .. } => {
            let text = options.replace("--to-ports ", "redir ports ").replace("--", "");
            if text.is_empty() { String::new() } else { format!(" {text}") }
        }
        XtTarget::Mark { mark, mask } => match *mask {
            u32::MAX => format!(" MARK set {mark:#x}"),
            mask if *mark == 0 => format!(" MARK and {:#x}", !mask),
            mask if mark == &mask => format!(" MARK or {mark:#x}"),
            0 => format!(" MARK xor {mark:#x}"),
            mask => format!(" MARK xset {mark:#x}/{mask:#x}"),
        },
        XtTarget::Connmark { mode, mark, ctmask, nfmask } => match mode {
            0 if *ctmask == u32::MAX => format!(" CONNMARK set {mark:#x}"),
            0 => format!(" CONNMARK xset {mark:#x}/{ctmask:#x}"),
            1 if *ctmask == u32::MAX && *nfmask == u32::MAX => " CONNMARK save".into(),
            1 => format!(" CONNMARK save nfmask {nfmask:#x} ctmask ~{ctmask:#x}"),
            _ if *ctmask == u32::MAX && *nfmask == u32::MAX => " CONNMARK restore".into(),
            _ => format!(" CONNMARK restore mask {ctmask:#x}"),
        },
        XtTarget::Nflog { .. } => format!(" {}", options.replace("--", "")),
        XtTarget::Nfqueue { num, total, bypass } => {
            let which = if *total > 1 {
                format!("balance {num}:{}", num.saturating_add(total - 1))
            } else {
                format!("num {num}")
            };
            format!(" NFQUEUE {which}{}", if *bypass { " bypass" } else { "" })
        }
        XtTarget::Tproxy { addr, port, mark, mask } => {
            let nowhere = if names.six { "::" } else { "0.0.0.0" };
            let to = addr.map_or_else(|| nowhere.to_owned(), |addr| addr.to_string());
            format!(" TPROXY redirect {to}:{port} mark {mark:#x}/{mask:#x}")
        }
        XtTarget::Ct { notrack: true, .. } => " CT notrack".into(),
        XtTarget::Ct { zone, .. } if *zone != 0 => format!(" CT zone {zone}"),
        XtTarget::Ct { .. } => " CT".into(),
        XtTarget::Tcpmss { mss: Some(mss) } => format!(" TCPMSS set {mss}"),
        XtTarget::Tcpmss { mss: None } => " TCPMSS clamp to PMTU".into(),
        XtTarget::Dscp { dscp } => format!(" DSCP set {dscp:#04x}"),
        XtTarget::Ttl { mode, ttl } => {
            let word = ["set to", "increment by", "decrement by"];
            format!(" TTL {} {ttl}", word.get(usize::from(*mode)).copied().unwrap_or("set to"))
        }
        XtTarget::Set { .. } => format!(" {}", options.replace("--", "")),
        XtTarget::Checksum => " CHECKSUM fill".into(),
        XtTarget::Classify { class } => format!(" CLASSIFY set {:x}:{:x}", class >> 16, class & 0xffff),
        XtTarget::Tos { value, mask } => format!(" TOS set {value:#04x}/{mask:#04x}"),
        XtTarget::Unknown { .. } => String::new(),
    }
}
