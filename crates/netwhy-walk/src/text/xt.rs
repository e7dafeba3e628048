//! Legacy rules in the words of iptables-save(8).

use std::net::IpAddr;

use netwhy_facts::IpNet;
use netwhy_facts::xtables::{XtMatch, XtRule, XtTarget, XtVerdict};

use super::values::quoted;

fn range<T: PartialEq + std::fmt::Display>(r: (T, T)) -> String {
    if r.0 == r.1 { r.0.to_string() } else { format!("{}:{}", r.0, r.1) }
}

fn not(invert: bool) -> &'static str {
    if invert { "! " } else { "" }
}

fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/+=,@#".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_string() } else { quoted(text) }
}

fn mask_text(mark: u32, mask: u32) -> String {
    if mask == u32::MAX { format!("{mark:#x}") } else { format!("{mark:#x}/{mask:#x}") }
}

fn tcp_flags(bits: u8) -> String {
    if bits == 0 {
        return "NONE".into();
    }
    let names = [
        (1u8, "FIN"),
        (2, "SYN"),
        (4, "RST"),
        (8, "PSH"),
        (16, "ACK"),
        (32, "URG"),
        (64, "ECE"),
        (128, "CWR"),
    ];
    names.iter().filter(|(b, _)| bits & b != 0).map(|(_, n)| *n).collect::<Vec<_>>().join(",")
}

fn states(mask: u32, untracked: u32) -> String {
    let names = [
        (1, "INVALID"),
        (8, "NEW"),
        (4, "RELATED"),
        (2, "ESTABLISHED"),
        (untracked, "UNTRACKED"),
        (if untracked == 0x100 { 0x40 } else { 0 }, "SNAT"),
        (if untracked == 0x100 { 0x80 } else { 0 }, "DNAT"),
    ];
    names.iter().filter(|(b, _)| mask & b != 0).map(|(_, n)| *n).collect::<Vec<_>>().join(",")
}

/// `XT_CONNTRACK_STATE_ALIAS`: it was written as the match `state`.
const STATE_ALIAS: u16 = 1 << 13;

fn addr_types(mask: u16) -> String {
    let names = [
        "UNSPEC",
        "UNICAST",
        "LOCAL",
        "BROADCAST",
        "ANYCAST",
        "MULTICAST",
        "BLACKHOLE",
        "UNREACHABLE",
        "PROHIBIT",
        "THROW",
        "NAT",
        "XRESOLVE",
    ];
    let set = names.iter().enumerate().filter(|(i, _)| mask & (1 << i) != 0);
    set.map(|(_, n)| *n).collect::<Vec<_>>().join(",")
}

/// A rate in the kernel's unit: ten thousandths of a second between packets.
fn rate(avg: u32) -> String {
    if avg == 0 {
        return "0/sec".into();
    }
    for (name, mult) in [("day", 86_400u64), ("hour", 3600), ("min", 60), ("sec", 1)].iter().rev() {
        let per = 10_000 * mult / u64::from(avg);
        if per >= 1 && (10_000 * mult) % u64::from(avg) < 10_000 * mult / 10 {
            return format!("{per}/{name}");
        }
    }
    format!("{avg}")
}

/// An address with its mask, which may be no prefix.
pub(crate) fn masked(rule: &XtRule, side: usize, n: &IpNet) -> String {
    let mask =
        rule.odd_masks.as_ref().map(|(source, destination)| if side == 0 { source } else { destination });
    let odd = mask.filter(|mask| {
        let ones: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
        let leading = mask.iter().position(|byte| *byte != 0xff).map_or(mask.len() as u32 * 8, |at| {
            at as u32 * 8 + mask.get(at).map_or(0, |byte| byte.leading_ones())
        });
        ones != leading
    });
    match odd.map(Vec::as_slice) {
        Some(&[a, b, c, d]) => format!("{}/{a}.{b}.{c}.{d}", n.addr),
        _ => net(n),
    }
}

fn net(n: &IpNet) -> String {
    n.to_string()
}

fn nat_end(
    addr_min: &Option<IpAddr>,
    addr_max: &Option<IpAddr>,
    port_min: &Option<u16>,
    port_max: &Option<u16>,
) -> String {
    let v6 = addr_min.is_some_and(|a| a.is_ipv6());
    let mut t = String::new();
    if let Some(a) = addr_min {
        let bracket = v6 && port_min.is_some();
        t.push_str(&if bracket { format!("[{a}]") } else { a.to_string() });
        if let Some(b) = addr_max.filter(|b| b != a) {
            t.push_str(&if bracket { format!("-[{b}]") } else { format!("-{b}") });
        }
    }
    if let Some(p) = port_min {
        t.push_str(&format!(":{p}"));
        if let Some(q) = port_max.filter(|q| q != p) {
            t.push_str(&format!("-{q}"));
        }
    }
    t
}

fn nat_flags(flags: u32) -> String {
    let mut t = String::new();
    for (bit, name) in [(4, " --random"), (16, " --random-fully"), (8, " --persistent")] {
        if flags & bit != 0 {
            t.push_str(name);
        }
    }
    t
}

fn ports(min: &Option<u16>, max: &Option<u16>) -> String {
    match (min, max) {
        (Some(a), Some(b)) if a != b => format!(" --to-ports {a}-{b}"),
        (Some(a), _) => format!(" --to-ports {a}"),
        _ => String::new(),
    }
}

/// One rule.
pub(crate) fn rule(chain: &str, r: &XtRule) -> String {
    rule_with(chain, r, "")
}

/// One rule, with words between its matches and its target.
pub(crate) fn rule_with(chain: &str, r: &XtRule, between: &str) -> String {
    let mut t = format!("-A {chain}");
    for (at, (flag, side)) in [("-s", &r.src), ("-d", &r.dst)].into_iter().enumerate() {
        if let Some((n, invert)) = side {
            t.push_str(&format!(" {}{flag} {}", not(*invert), masked(r, at, n)));
        }
    }
    for (flag, dev) in [("-i", &r.iif), ("-o", &r.oif)] {
        if let Some((name, invert)) = dev {
            t.push_str(&format!(" {}{flag} {}", not(*invert), word(name)));
        }
    }
    if let Some((proto, invert)) = r.proto {
        let name = u8::try_from(proto).map_or_else(|_| proto.to_string(), super::proto_name);
        t.push_str(&format!(" {}-p {name}", not(invert)));
    }
    match r.fragment {
        Some(true) => t.push_str(" -f"),
        Some(false) => t.push_str(" ! -f"),
        None => {}
    }
    for extra in &r.extra {
        t.push_str(&format!(" {}", extra.escape_debug()));
    }
    for m in &r.matches {
        t.push(' ');
        t.push_str(&match_text(m));
    }
    t.push_str(between);
    target(&mut t, r);
    t
}

fn match_text(m: &XtMatch) -> String {
    let mut t = String::new();
    match m {
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
            t.push_str("-m tcp");
            port_pair(&mut t, *sports, *sports_inv, *dports, *dports_inv);
            if *option != 0 {
                t.push_str(&format!(" {}--tcp-option {option}", not(*option_inv)));
            }
            if *flag_mask != 0 || *flags_inv {
                t.push_str(&format!(
                    " {}--tcp-flags {} {}",
                    not(*flags_inv),
                    tcp_flags(*flag_mask),
                    tcp_flags(*flag_cmp)
                ));
            }
        }
        XtMatch::Udp { sports, sports_inv, dports, dports_inv } => {
            t.push_str("-m udp");
            port_pair(&mut t, *sports, *sports_inv, *dports, *dports_inv);
        }
        XtMatch::Icmp { icmp_type, codes, invert } => {
            let (module, flag) = if *icmp_type >= 128 && *icmp_type != 0xff {
                ("icmp6", "icmpv6-type")
            } else {
                ("icmp", "icmp-type")
            };
            let value = match (icmp_type, codes) {
                (0xff, _) => "any".to_string(),
                (n, (0, 0xff)) => n.to_string(),
                (n, (code, _)) => format!("{n}/{code}"),
            };
            t.push_str(&format!("-m {module} {}--{flag} {value}", not(*invert)));
        }
        XtMatch::Multiport { side, ports, invert } => {
            let flag = ["sports", "dports", "ports"].get(usize::from(*side)).copied().unwrap_or("ports");
            let list: Vec<String> = ports.iter().map(|p| range(*p)).collect();
            t.push_str(&format!("-m multiport {}--{flag} {}", not(*invert), list.join(",")));
        }
        XtMatch::Conntrack { match_flags, invert_flags, state_mask, .. }
            if match_flags & STATE_ALIAS != 0 =>
        {
            let invert = not(invert_flags & 1 != 0);
            t.push_str(&format!("-m state {invert}--state {}", states((*state_mask).into(), 0x100)));
        }
        XtMatch::Conntrack {
            match_flags,
            invert_flags,
            state_mask,
            status_mask,
            orig_src,
            orig_dst,
            repl_src,
            repl_dst,
            proto,
            orig_sport,
            orig_dport,
            repl_sport,
            repl_dport,
            ..
        } => {
            t.push_str("-m conntrack");
            let mut put = |bit: u16, text: String| {
                if match_flags & bit != 0 {
                    t.push_str(&format!(" {}{text}", not(invert_flags & bit != 0)));
                }
            };
            let text = |n: &Option<IpNet>| n.as_ref().map(net).unwrap_or_default();
            put(1, format!("--ctstate {}", states((*state_mask).into(), 0x100)));
            put(2, format!("--ctproto {proto}"));
            put(4, format!("--ctorigsrc {}", text(orig_src)));
            put(8, format!("--ctorigdst {}", text(orig_dst)));
            put(16, format!("--ctreplsrc {}", text(repl_src)));
            put(32, format!("--ctrepldst {}", text(repl_dst)));
            put(0x100, format!("--ctorigsrcport {}", range(*orig_sport)));
            put(0x200, format!("--ctorigdstport {}", range(*orig_dport)));
            put(0x400, format!("--ctreplsrcport {}", range(*repl_sport)));
            put(0x800, format!("--ctrepldstport {}", range(*repl_dport)));
            put(0x40, format!("--ctstatus {status_mask:#x}"));
            if match_flags & 0x1000 != 0 {
                t.push_str(if invert_flags & 0x1000 != 0 { " --ctdir REPLY" } else { " --ctdir ORIGINAL" });
            }
        }
        XtMatch::State { mask } => t.push_str(&format!("-m state --state {}", states(*mask, 0x40))),
        XtMatch::Mark { mark, mask, invert } => {
            t.push_str(&format!("-m mark {}--mark {}", not(*invert), mask_text(*mark, *mask)));
        }
        XtMatch::Connmark { mark, mask, invert } => {
            t.push_str(&format!("-m connmark {}--mark {}", not(*invert), mask_text(*mark, *mask)));
        }
        XtMatch::Comment { text } => t.push_str(&format!("-m comment --comment {}", word(text))),
        XtMatch::Limit { avg, burst } => {
            t.push_str(&format!("-m limit --limit {}", rate(*avg)));
            if *burst != 5 {
                t.push_str(&format!(" --limit-burst {burst}"));
            }
        }
        XtMatch::Hashlimit { .. } => t.push_str("-m hashlimit"),
        XtMatch::Connlimit { limit, mask_len, flags } => {
            let kind = if flags & 1 != 0 { "upto" } else { "above" };
            let side = if flags & 2 != 0 { "daddr" } else { "saddr" };
            t.push_str(&format!(
                "-m connlimit --connlimit-{kind} {limit} --connlimit-mask {mask_len} --connlimit-{side}"
            ));
        }
        XtMatch::Addrtype { source, dest, flags } => {
            t.push_str("-m addrtype");
            if *source != 0 {
                t.push_str(&format!(" {}--src-type {}", not(flags & 1 != 0), addr_types(*source)));
            }
            if *dest != 0 {
                t.push_str(&format!(" {}--dst-type {}", not(flags & 2 != 0), addr_types(*dest)));
            }
            if flags & 4 != 0 {
                t.push_str(" --limit-iface-in");
            }
            if flags & 8 != 0 {
                t.push_str(" --limit-iface-out");
            }
        }
        XtMatch::Iprange { src, src_inv, dst, dst_inv } => {
            t.push_str("-m iprange");
            for (flag, pair, invert) in [("src", src, src_inv), ("dst", dst, dst_inv)] {
                if let Some((a, b)) = pair {
                    t.push_str(&format!(" {}--{flag}-range {a}-{b}", not(*invert)));
                }
            }
        }
        XtMatch::Mac { mac, invert } => t.push_str(&format!("-m mac {}--mac-source {mac}", not(*invert))),
        XtMatch::Owner { uid, gid, match_flags, invert_flags } => {
            t.push_str("-m owner");
            for (bit, flag, r) in [(1u8, "uid", uid), (2, "gid", gid)] {
                if match_flags & bit != 0
                    && let Some((a, b)) = r
                {
                    let r = if a == b { a.to_string() } else { format!("{a}-{b}") };
                    t.push_str(&format!(" {}--{flag}-owner {r}", not(invert_flags & bit != 0)));
                }
            }
            if match_flags & 4 != 0 {
                t.push_str(&format!(" {}--socket-exists", not(invert_flags & 4 != 0)));
            }
        }
        XtMatch::Set { set, dim, flags, invert } => {
            t.push_str(&format!("-m set {}--match-set {} {}", not(*invert), word(set), sides(*dim, *flags)));
        }
        XtMatch::Statistic { mode, invert, probability, every, packet } => {
            if *mode == 0 {
                let p = f64::from(*probability) / f64::from(0x8000_0000u32);
                t.push_str(&format!("-m statistic --mode random {}--probability {p:.11}", not(*invert)));
            } else {
                t.push_str(&format!(
                    "-m statistic --mode nth {}--every {} --packet {packet}",
                    not(*invert),
                    every.saturating_add(1)
                ));
            }
        }
        XtMatch::Length { min, max, invert } => {
            t.push_str(&format!("-m length {}--length {}", not(*invert), range((*min, *max))));
        }
        XtMatch::Ttl { mode, ttl } => {
            let (invert, flag) = match mode {
                0 => ("", "eq"),
                1 => ("! ", "eq"),
                2 => ("", "lt"),
                _ => ("", "gt"),
            };
            t.push_str(&format!("-m ttl {invert}--ttl-{flag} {ttl}"));
        }
        XtMatch::Tos { value, mask, invert } => {
            t.push_str(&format!("-m tos {}--tos {value:#04x}/{mask:#04x}", not(*invert)));
        }
        XtMatch::Dscp { dscp, invert } => t.push_str(&format!("-m dscp {}--dscp {dscp:#04x}", not(*invert))),
        XtMatch::Pkttype { pkttype, invert } => {
            let name =
                ["unicast", "broadcast", "multicast"].get(usize::from(*pkttype)).copied().unwrap_or("other");
            t.push_str(&format!("-m pkttype {}--pkt-type {name}", not(*invert)));
        }
        XtMatch::Physdev { physin, physout, bitmask, invert } => {
            t.push_str("-m physdev");
            for (bit, text) in [
                (1u8, format!("--physdev-in {}", word(physin))),
                (8, "--physdev-is-in".into()),
                (2, format!("--physdev-out {}", word(physout))),
                (16, "--physdev-is-out".into()),
                (4, "--physdev-is-bridged".into()),
            ] {
                if bitmask & bit != 0 {
                    t.push_str(&format!(" {}{text}", not(invert & bit != 0)));
                }
            }
        }
        XtMatch::Rpfilter { flags } => {
            t.push_str("-m rpfilter");
            for (bit, name) in [(1u8, "loose"), (2, "validmark"), (4, "accept-local"), (8, "invert")] {
                if flags & bit != 0 {
                    t.push_str(&format!(" --{name}"));
                }
            }
        }
        XtMatch::Tcpmss { min, max, invert } => {
            t.push_str(&format!("-m tcpmss {}--mss {}", not(*invert), range((*min, *max))));
        }
        XtMatch::Socket { flags } => {
            t.push_str("-m socket");
            for (bit, name) in [(1u8, "transparent"), (2, "nowildcard"), (4, "restore-skmark")] {
                if flags & bit != 0 {
                    t.push_str(&format!(" --{name}"));
                }
            }
        }
        XtMatch::Recent { name, .. } => t.push_str(&format!("-m recent --name {}", word(name))),
        XtMatch::Unknown { name, .. } => t.push_str(&format!("-m {} [unknown]", word(name))),
    }
    t
}

fn port_pair(t: &mut String, sports: (u16, u16), sinv: bool, dports: (u16, u16), dinv: bool) {
    for (flag, r, invert) in [("sport", sports, sinv), ("dport", dports, dinv)] {
        if r != (0, 0xffff) || invert {
            t.push_str(&format!(" {}--{flag} {}", not(invert), range(r)));
        }
    }
}

fn sides(dim: u8, flags: u8) -> String {
    (1..=dim.min(6)).map(|d| if flags & (1 << d) != 0 { "src" } else { "dst" }).collect::<Vec<_>>().join(",")
}

fn target(t: &mut String, r: &XtRule) {
    let jump = if r.goto { "-g" } else { "-j" };
    let mut say = |text: &str| {
        t.push_str(&format!(" {jump} {text}"));
    };
    match &r.target {
        XtTarget::Standard { verdict } => match verdict {
            XtVerdict::Accept => say("ACCEPT"),
            XtVerdict::Drop => say("DROP"),
            XtVerdict::Queue => say("QUEUE"),
            XtVerdict::Return => say("RETURN"),
            XtVerdict::Jump(chain) => say(&word(chain)),
            XtVerdict::Continue => {}
        },
        XtTarget::Reject { with } => say(&format!("REJECT --reject-with {with}")),
        XtTarget::Snat { addr_min, addr_max, port_min, port_max, flags } => say(&format!(
            "SNAT --to-source {}{}",
            nat_end(addr_min, addr_max, port_min, port_max),
            nat_flags(*flags)
        )),
        XtTarget::Dnat { addr_min, addr_max, port_min, port_max, flags } => say(&format!(
            "DNAT --to-destination {}{}",
            nat_end(addr_min, addr_max, port_min, port_max),
            nat_flags(*flags)
        )),
        XtTarget::Masquerade { port_min, port_max, flags } => {
            say(&format!("MASQUERADE{}{}", ports(port_min, port_max), nat_flags(*flags)));
        }
        XtTarget::Redirect { port_min, port_max, flags } => {
            say(&format!("REDIRECT{}{}", ports(port_min, port_max), nat_flags(*flags)));
        }
        XtTarget::Netmap { addr_min, addr_max } => {
            say(&format!("NETMAP --to {}", netmap(addr_min, addr_max)))
        }
        XtTarget::Mark { mark, mask } => say(&format!("MARK --set-xmark {mark:#x}/{mask:#x}")),
        XtTarget::Connmark { mode, mark, ctmask, nfmask } => match mode {
            0 => say(&format!("CONNMARK --set-xmark {mark:#x}/{ctmask:#x}")),
            1 => say(&format!("CONNMARK --save-mark --nfmask {nfmask:#x} --ctmask {ctmask:#x}")),
            _ => say(&format!("CONNMARK --restore-mark --nfmask {nfmask:#x} --ctmask {ctmask:#x}")),
        },
        XtTarget::Log { prefix, level, flags } => {
            let mut words = String::from("LOG");
            if !prefix.is_empty() {
                words.push_str(&format!(" --log-prefix {}", word(prefix)));
            }
            if *level != 4 {
                words.push_str(&format!(" --log-level {level}"));
            }
            for (bit, name) in
                [(1, "tcp-sequence"), (2, "tcp-options"), (4, "ip-options"), (8, "uid"), (32, "macdecode")]
            {
                if flags & bit != 0 {
                    words.push_str(&format!(" --log-{name}"));
                }
            }
            say(&words);
        }
        XtTarget::Nflog { group, prefix } => {
            let p =
                if prefix.is_empty() { String::new() } else { format!(" --nflog-prefix {}", word(prefix)) };
            let g = if *group == 0 { String::new() } else { format!(" --nflog-group {group}") };
            say(&format!("NFLOG{p}{g}"));
        }
        XtTarget::Nfqueue { num, total, bypass } => {
            let last = num.saturating_add(total.saturating_sub(1));
            let which = if last > *num {
                format!("--queue-balance {num}:{last}")
            } else {
                format!("--queue-num {num}")
            };
            say(&format!("NFQUEUE {which}{}", if *bypass { " --queue-bypass" } else { "" }));
        }
        XtTarget::Tproxy { addr, port, mark, mask } => {
            let ip = addr.map_or_else(|| "0.0.0.0".to_string(), |a| a.to_string());
            say(&format!("TPROXY --on-port {port} --on-ip {ip} --tproxy-mark {mark:#x}/{mask:#x}"));
        }
        XtTarget::Notrack => say("NOTRACK"),
        XtTarget::Ct { notrack: true, .. } => say("CT --notrack"),
        XtTarget::Ct { zone, .. } if *zone != 0 => say(&format!("CT --zone {zone}")),
        XtTarget::Ct { .. } => say("CT"),
        XtTarget::Tcpmss { mss: Some(mss) } => say(&format!("TCPMSS --set-mss {mss}")),
        XtTarget::Tcpmss { mss: None } => say("TCPMSS --clamp-mss-to-pmtu"),
        XtTarget::Dscp { dscp } => say(&format!("DSCP --set-dscp {dscp:#04x}")),
        XtTarget::Ttl { mode, ttl } => {
            let flag = ["set", "inc", "dec"].get(usize::from(*mode)).copied().unwrap_or("set");
            say(&format!("TTL --ttl-{flag} {ttl}"));
        }
        XtTarget::Set { add, del, map } => {
            let mut words = String::from("SET");
            for (flag, name) in [("add-set", add), ("del-set", del), ("map-set", map)] {
                if let Some(name) = name {
                    words.push_str(&format!(" --{flag} {}", word(name)));
                }
            }
            say(&words);
        }
        XtTarget::Checksum => say("CHECKSUM --checksum-fill"),
        XtTarget::Classify { class } => {
            say(&format!("CLASSIFY --set-class {:04x}:{:04x}", class >> 16, class & 0xffff));
        }
        XtTarget::Tos { value, mask } => say(&format!("TOS --set-tos {value:#04x}/{mask:#04x}")),
        XtTarget::Unknown { name, .. } => say(&word(name)),
    }
}

fn netmap(min: &Option<IpAddr>, max: &Option<IpAddr>) -> String {
    match (min, max) {
        (Some(IpAddr::V4(a)), Some(IpAddr::V4(b))) => {
            let len = (u32::from(*a) ^ u32::from(*b)).leading_zeros();
            if len == 32 { a.to_string() } else { format!("{a}/{len}") }
        }
        (Some(IpAddr::V6(a)), Some(IpAddr::V6(b))) => {
            let len = (u128::from(*a) ^ u128::from(*b)).leading_zeros();
            if len == 128 { a.to_string() } else { format!("{a}/{len}") }
        }
        _ => String::new(),
    }
}
