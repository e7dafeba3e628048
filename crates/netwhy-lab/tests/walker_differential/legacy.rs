//! Random legacy rules in the words of iptables-restore(8).

use crate::field::try_tool;
use crate::rng::Rng;
use crate::rules::{PORTS, Way};

/// Tables of one family as `iptables-restore` reads them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Legacy {
    pub(crate) v6: bool,
    pub(crate) text: String,
    pub(crate) features: Vec<&'static str>,
}

const V4: &str = "198.51.100.1 198.51.100.2 198.51.100.3 203.0.113.1 203.0.113.2 203.0.113.66 203.0.113.130";
const V6: &str = "2001:db8:1::1 2001:db8:1::2 2001:db8:1::77 2001:db8:2::2 2001:db8:3::2 2001:db8:9::9";
const NET4: &str =
    "198.51.100.0/24 198.51.100.0/30 203.0.113.0/24 203.0.113.64/26 203.0.113.128/25 198.51.0.0/16";
const NET6: &str = "2001:db8::/32 2001:db8:1::/64 2001:db8:2::/47 2001:db8:9::/48";

struct Maker<'r> {
    rng: &'r mut Rng,
    v6: bool,
    features: Vec<&'static str>,
}

impl Maker<'_> {
    fn feature(&mut self, name: &'static str) {
        if !self.features.contains(&name) {
            self.features.push(name);
        }
    }
    fn not(&mut self) -> &'static str {
        if self.rng.chance(25) { "! " } else { "" }
    }
    fn net(&mut self) -> &'static str {
        if self.rng.chance(50) {
            self.rng.word(if self.v6 { V6 } else { V4 })
        } else {
            self.rng.word(if self.v6 { NET6 } else { NET4 })
        }
    }

    #[allow(clippy::too_many_lines)]
    fn condition(&mut self, chain: &str) -> String {
        let not = self.not();
        let icmp = if self.v6 { "ipv6-icmp" } else { "icmp" };
        match self.rng.below(30) {
            0..=3 => format!("{not}-s {}", self.net()),
            4..=6 => format!("{not}-d {}", self.net()),
            7..=9 => {
                let proto = self.rng.word("tcp udp");
                let port = match self.rng.below(3) {
                    0 => self.rng.word("1:100 80:443 1024:65535 :79").to_string(),
                    _ => self.rng.word(PORTS).to_string(),
                };
                format!("-p {proto} -m {proto} {not}--{} {port}", self.rng.word("dport dport sport"))
            }
            10 => {
                self.feature("xt multiport");
                let proto = self.rng.word("tcp udp");
                let list = format!("{},{},2000:9000", self.rng.word(PORTS), self.rng.word(PORTS));
                format!("-p {proto} -m multiport {not}--{} {list}", self.rng.word("dports sports ports"))
            }
            11 | 12 if matches!(chain, "PREROUTING" | "INPUT" | "FORWARD") => {
                format!("{not}-i {}", self.rng.word("in0 in+ out0 lo"))
            }
            11..=13 if matches!(chain, "OUTPUT" | "POSTROUTING" | "FORWARD") => {
                format!("{not}-o {}", self.rng.word("out0 out1 out+ lo in0"))
            }
            14 | 15 => {
                self.feature("xt conntrack");
                match self.rng.below(7) {
                    0 => format!("-m conntrack {not}--ctstate NEW"),
                    1 => "-m conntrack --ctstate RELATED,ESTABLISHED".into(),
                    2 => format!("-m conntrack {not}--ctstate INVALID,UNTRACKED"),
                    3 => format!(
                        "-m conntrack {not}--ctorigdst {}",
                        self.rng.word(if self.v6 { V6 } else { V4 })
                    ),
                    4 => format!("-m conntrack --ctdir {}", self.rng.word("ORIGINAL REPLY")),
                    5 => format!("-m conntrack --ctproto {}", self.rng.word("tcp udp")),
                    _ => format!("-m conntrack {not}--ctstate {}", self.rng.word("DNAT SNAT NEW,DNAT")),
                }
            }
            16 => {
                self.feature("xt state");
                format!("-m state --state {}", self.rng.word("NEW ESTABLISHED INVALID UNTRACKED"))
            }
            17 | 18 => {
                self.feature("xt mark");
                format!("-m mark {not}--mark {}", self.rng.word("0x1 0x5 0x0 0x10/0xff 0x1/0x1"))
            }
            19 => {
                self.feature("xt connmark");
                format!("-m connmark {not}--mark {}", self.rng.word("0x1 0x0"))
            }
            20 => {
                self.feature("xt addrtype");
                format!(
                    "-m addrtype {not}--{} {}",
                    self.rng.word("dst-type src-type"),
                    self.rng.word("LOCAL UNICAST LOCAL,BROADCAST")
                )
            }
            21 => {
                self.feature("xt iprange");
                let range = if self.v6 { "2001:db8:1::1-2001:db8:2::2" } else { "198.51.100.2-203.0.113.2" };
                format!("-m iprange {not}--{} {range}", self.rng.word("src-range dst-range"))
            }
            22 => {
                self.feature("xt length");
                format!("-m length {not}--length {}", self.rng.word("29 60 0:50 60:100"))
            }
            23 if !self.v6 => {
                self.feature("xt ttl");
                format!("-m ttl --ttl-{}", self.rng.word("eq:64 lt:5 gt:5 eq:63")).replace(':', " ")
            }
            23 => {
                self.feature("xt ttl");
                format!("-m hl --hl-{}", self.rng.word("eq:64 lt:5 gt:5 eq:63")).replace(':', " ")
            }
            24 => {
                self.feature("xt tos");
                if self.rng.chance(50) {
                    format!("-m dscp {not}--dscp {}", self.rng.word("0x00 0x2e 0x04"))
                } else {
                    format!("-m tos {not}--tos {}", self.rng.word("0x10/0xff 0x00/0xff 0xb8/0xfc"))
                }
            }
            25 => {
                self.feature("xt tcp flags");
                format!(
                    "-p tcp -m tcp {not}--tcp-flags {}",
                    self.rng.word("SYN,ACK:SYN SYN,RST,ACK,FIN:SYN ACK:ACK RST:RST FIN,SYN:NONE")
                )
                .replace(':', " ")
            }
            26 => {
                self.feature("xt icmp");
                if self.v6 {
                    format!(
                        "-p {icmp} -m icmp6 {not}--icmpv6-type {}",
                        self.rng.word("echo-request echo-reply 128")
                    )
                } else {
                    format!(
                        "-p {icmp} -m icmp {not}--icmp-type {}",
                        self.rng.word("echo-request echo-reply any 8")
                    )
                }
            }
            27 if chain == "OUTPUT" => {
                self.feature("xt owner");
                format!("-m owner {not}--uid-owner {}", self.rng.word("0 1000 0-5"))
            }
            28 => {
                self.feature("xt limit");
                self.rng
                    .pick(&[
                        "-m limit --limit 10000/sec --limit-burst 10000",
                        "-m comment --comment \"a b\"",
                        "-m pkttype --pkt-type unicast",
                        "-m connlimit --connlimit-above 10000",
                    ])
                    .to_string()
            }
            29 => {
                self.feature("xt protocol");
                format!("{not}-p {}", self.rng.word("tcp udp 47"))
            }
            _ => String::new(),
        }
    }

    fn target(&mut self, table: &str, chain: &str, jumps: &[&str]) -> String {
        let to = if self.v6 {
            "2001:db8:2::2 2001:db8:3::2 2001:db8:9::9 2001:db8:1::1"
        } else {
            "203.0.113.2 203.0.113.66 203.0.113.130 198.51.100.1"
        };
        let port = self.rng.word("80 443 8080 53");
        match (table, chain) {
            ("nat", "PREROUTING" | "OUTPUT") => {
                self.feature("xt nat");
                let to = self.rng.word(to);
                match self.rng.below(6) {
                    0 | 1 => format!("-j DNAT --to-destination {to}"),
                    2 if self.v6 => format!("-p tcp -j DNAT --to-destination [{to}]:{port}"),
                    2 => format!("-p udp -j DNAT --to-destination {to}:{port}"),
                    3 => format!("-p {} -j REDIRECT --to-ports {port}", self.rng.word("tcp udp")),
                    4 => "-j ACCEPT".into(),
                    _ => "-j RETURN".into(),
                }
            }
            ("nat", _) => {
                self.feature("xt nat");
                let from = self.rng.word(if self.v6 { "2001:db8:2::77" } else { "203.0.113.9" });
                match self.rng.below(4) {
                    0 => "-j MASQUERADE".into(),
                    1 => format!("-j SNAT --to-source {from}"),
                    2 => "-j ACCEPT".into(),
                    _ => "-j RETURN".into(),
                }
            }
            ("raw", _) if self.rng.chance(40) => {
                self.feature("xt notrack");
                "-j CT --notrack".into()
            }
            ("mangle", _) if self.rng.chance(60) => {
                self.feature("xt mark target");
                match self.rng.below(6) {
                    0 | 1 => format!("-j MARK --set-mark {}", self.rng.word("0x1 0x5 0x10")),
                    2 => "-j MARK --or-mark 0x10".into(),
                    3 => format!("-j CONNMARK --{}", self.rng.word("save-mark restore-mark")),
                    4 if !self.v6 => "-j TTL --ttl-set 20".into(),
                    _ => "-j DSCP --set-dscp 0x2e".into(),
                }
            }
            _ => match self.rng.below(12) {
                0..=2 => "-j ACCEPT".into(),
                3..=5 => "-j DROP".into(),
                6 => "-j RETURN".into(),
                7 if table == "filter" => {
                    self.feature("xt reject");
                    match (self.v6, self.rng.below(4)) {
                        (_, 0) => "-p tcp -j REJECT --reject-with tcp-reset".into(),
                        (false, _) => format!(
                            "-j REJECT --reject-with icmp-{}",
                            self.rng
                                .word("port-unreachable host-prohibited admin-prohibited net-unreachable")
                        ),
                        (true, _) => format!(
                            "-j REJECT --reject-with icmp6-{}",
                            self.rng.word("port-unreachable adm-prohibited addr-unreachable no-route")
                        ),
                    }
                }
                8 | 9 if !jumps.is_empty() => {
                    self.feature("xt jump");
                    format!("-{} {}", self.rng.word("j j g"), self.rng.pick(jumps))
                }
                10 => "-j LOG --log-prefix x".into(),
                _ => String::new(),
            },
        }
    }

    fn rule(&mut self, table: &str, chain: &str, jumps: &[&str]) -> String {
        let mut words: Vec<String> = Vec::new();
        for _ in 0..self.rng.below(3) {
            let c = self.condition(if chain.starts_with("USER") { "FORWARD" } else { chain });
            // One protocol and one of each selector.
            let clash = |flag: &str| c.contains(flag) && words.iter().any(|w| w.contains(flag));
            let deep = chain.starts_with("USER") && (c.contains("-i ") || c.contains("-o "));
            if !c.is_empty()
                && !deep
                && !["-p ", "-s ", "-d ", "-i ", "-o ", "-m mark", "-m connmark"].iter().any(|f| clash(f))
            {
                words.push(c);
            }
        }
        let t = self.target(table, chain, jumps);
        let clash = t.contains("-p ") && words.iter().any(|w| w.contains("-p "));
        if !t.is_empty() && !clash {
            words.push(t);
        }
        format!("-A {chain} {}", words.join(" ").trim())
    }
}

/// Random tables for one way.
pub(crate) fn legacy(rng: &mut Rng, way: Way) -> Legacy {
    let v6 = rng.chance(35);
    let mut maker = Maker { rng, v6, features: vec![if v6 { "ip6tables" } else { "iptables" }] };
    let mut text = String::new();
    for table in ["raw", "mangle", "nat", "filter"] {
        if !maker.rng.chance(60) {
            continue;
        }
        let chains: &[&str] = match (table, way) {
            ("raw", Way::In) => &["PREROUTING"],
            ("mangle", Way::In) => &["PREROUTING", "INPUT", "FORWARD", "POSTROUTING"],
            ("nat", Way::In) => &["PREROUTING", "POSTROUTING"],
            ("filter", Way::In) => &["INPUT", "FORWARD"],
            ("mangle" | "nat", Way::Out) => &["OUTPUT", "POSTROUTING"],
            (_, Way::Out) => &["OUTPUT"],
            _ => &[],
        };
        text.push_str(&format!("*{table}\n"));
        for chain in chains {
            let drop = table != "nat" && maker.rng.chance(20);
            if drop {
                maker.feature("xt policy drop");
            }
            text.push_str(&format!(":{chain} {} [0:0]\n", if drop { "DROP" } else { "ACCEPT" }));
        }
        text.push_str(":USER1 - [0:0]\n:USER2 - [0:0]\n");
        for chain in chains {
            if way == Way::In && *chain == "POSTROUTING" && table != "nat" {
                text.push_str("-A POSTROUTING -o in0 -j ACCEPT\n");
            }
            if way == Way::Out && table != "nat" {
                let (icmp, module, kind) = if v6 {
                    ("ipv6-icmp", "icmp6", "icmpv6-type 1")
                } else {
                    ("icmp", "icmp", "icmp-type 3")
                };
                text.push_str(&format!("-A {chain} -o lo -p tcp -m tcp --tcp-flags RST RST -j ACCEPT\n"));
                text.push_str(&format!("-A {chain} -o lo -p {icmp} -m {module} --{kind} -j ACCEPT\n"));
            }
            for _ in 0..maker.rng.below(5) {
                let rule = maker.rule(table, chain, &["USER1", "USER2"]);
                text.push_str(&format!("{rule}\n"));
            }
        }
        for (chain, jumps) in [("USER1", &["USER2"][..]), ("USER2", &[])] {
            for _ in 0..maker.rng.below(3) {
                let rule = maker.rule(if table == "filter" { "filter" } else { "any" }, chain, jumps);
                // Chains of several hooks do only what each of them may.
                if table == "filter" || !rule.contains("REJECT") {
                    text.push_str(&format!("{rule}\n"));
                }
            }
        }
        text.push_str("COMMIT\n");
    }
    Legacy { v6, text, features: maker.features }
}

fn program(v6: bool) -> &'static str {
    if v6 { "ip6tables-legacy-restore" } else { "iptables-legacy-restore" }
}

/// Loads the tables without the lines iptables refuses, and returns what was loaded. Call inside m.
pub(crate) fn load(legacy: &Legacy) -> String {
    let mut text = legacy.text.clone();
    for _ in 0..40 {
        let Err(said) = try_tool(program(legacy.v6), &[], &text) else { return text };
        let number = said.split("line").nth(1).and_then(|r| {
            let digits: String =
                r.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
            digits.parse::<usize>().ok()
        });
        let at = number.unwrap_or_else(|| panic!("{said}\n{text}"));
        let lines: Vec<&str> = text.lines().collect();
        // The kernel refuses a table as a whole, at its COMMIT: then its rules go one by one, the last first.
        let guard = |l: &str| l.contains("-o in0 -j ACCEPT") || l.contains(" -o lo -p ");
        let worst = (0..at)
            .rev()
            .take_while(|n| !lines[*n].starts_with('*'))
            .find(|n| lines[*n].starts_with("-A") && !guard(lines[*n]))
            .unwrap_or_else(|| panic!("{said}\n{text}"));
        text = lines.iter().enumerate().filter(|(n, _)| *n != worst).map(|(_, l)| format!("{l}\n")).collect();
    }
    panic!("no table is left:\n{text}");
}

/// Empties every table of a family. Call inside m.
pub(crate) fn clear(v6: bool) {
    let mut text = String::new();
    for (table, chains) in [
        ("raw", "PREROUTING OUTPUT"),
        ("mangle", "PREROUTING INPUT FORWARD OUTPUT POSTROUTING"),
        ("nat", "PREROUTING INPUT OUTPUT POSTROUTING"),
        ("filter", "INPUT FORWARD OUTPUT"),
    ] {
        text.push_str(&format!("*{table}\n"));
        for chain in chains.split_whitespace() {
            text.push_str(&format!(":{chain} ACCEPT [0:0]\n"));
        }
        text.push_str("COMMIT\n");
    }
    try_tool(program(v6), &[], &text).unwrap_or_else(|said| panic!("{said}"));
}
