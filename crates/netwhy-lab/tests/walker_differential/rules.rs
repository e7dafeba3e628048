//! Random nftables rulesets in the words of nft(8).

use crate::rng::Rng;

/// Which way the packets of a ruleset go, and so which hooks may hold rules: answers must get out, or the
/// observation would say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From outside to m or through it.
    In,
    /// From m.
    Out,
}

/// A ruleset, and the features it has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ruleset {
    pub(crate) text: String,
    pub(crate) features: Vec<&'static str>,
    /// Earlier packets change what later ones meet: sets filled by rules.
    pub(crate) remembers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Inet,
    Ip,
    Ip6,
    Netdev,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hook {
    Ingress,
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
    Egress,
}

struct Place {
    family: Family,
    hook: Hook,
    kind: &'static str,
    priority: i32,
    jumps: Vec<String>,
}

pub(crate) const PORTS: &str = "22 53 80 443 1000 2000 8080";
const V4: &str = "198.51.100.1 198.51.100.2 198.51.100.3 198.51.100.77 203.0.113.1 203.0.113.2 203.0.113.3 203.0.113.66 203.0.113.130";
const V6: &str = "2001:db8:1::1 2001:db8:1::2 2001:db8:1::77 2001:db8:2::2 2001:db8:3::2 2001:db8:9::9";
const NET4: &str = "198.51.100.0/24 198.51.100.0/25 198.51.100.0/30 198.51.100.64/26 203.0.113.0/24 203.0.113.0/26 203.0.113.64/26 203.0.113.128/25 198.51.0.0/16 0.0.0.0/1";
const NET6: &str =
    "2001:db8::/32 2001:db8:1::/48 2001:db8:1::/64 2001:db8:1::/126 2001:db8:2::/47 2001:db8:9::/48";

struct Maker<'r> {
    rng: &'r mut Rng,
    features: Vec<&'static str>,
    remembers: bool,
    /// Sets of the table: name, type.
    sets: Vec<(String, &'static str)>,
    declarations: String,
}

impl Maker<'_> {
    fn feature(&mut self, name: &'static str) {
        if !self.features.contains(&name) {
            self.features.push(name);
        }
    }

    fn ports(&mut self) -> String {
        let rng = &mut *self.rng;
        match rng.below(8) {
            0..=2 => rng.word(PORTS).to_string(),
            3 => format!("!= {}", rng.word(PORTS)),
            4 => format!("{}-{}", rng.word("1 22 53 79"), rng.word("80 443 1023 8080")),
            5 => format!("{} {}", rng.word("< <= > >="), rng.word("53 80 443 1000")),
            6 => {
                self.feature("anonymous set");
                let mut all = vec![self.rng.word(PORTS).to_string(), self.rng.word("1 2 3").to_string()];
                if self.rng.chance(40) {
                    all.push(self.rng.word(PORTS).to_string());
                }
                let not = if self.rng.chance(25) { "!= " } else { "" };
                format!("{not}{{ {} }}", all.join(", "))
            }
            _ => {
                self.feature("interval set");
                let not = if self.rng.chance(25) { "!= " } else { "" };
                format!("{not}{{ 1-52, {}, 1024-65535 }}", self.rng.word("80 90-443 53-79,443"))
            }
        }
    }

    fn address(&mut self, v6: bool) -> String {
        let (one, net) = if v6 { (V6, NET6) } else { (V4, NET4) };
        match self.rng.below(9) {
            0 | 1 => self.rng.word(one).to_string(),
            2 => format!("!= {}", self.rng.word(one)),
            3 | 4 => self.rng.word(net).to_string(),
            5 => format!("!= {}", self.rng.word(net)),
            6 => {
                if v6 {
                    format!("2001:db8:1::{}-2001:db8:{}::9", self.rng.word("1 2 3"), self.rng.word("1 2"))
                } else {
                    format!(
                        "198.51.100.{}-{}",
                        self.rng.word("1 2 3"),
                        self.rng.word("198.51.100.80 203.0.113.65")
                    )
                }
            }
            7 => {
                self.feature("anonymous set");
                let not = if self.rng.chance(25) { "!= " } else { "" };
                format!(
                    "{not}{{ {}, {} }}",
                    self.rng.word(one),
                    if v6 { "2001:db8:7::7" } else { "198.51.100.200" }
                )
            }
            _ => {
                self.feature("interval set");
                let not = if self.rng.chance(25) { "!= " } else { "" };
                let other = if v6 { "fd00:70::/44" } else { "250.0.0.0/8" };
                format!("{not}{{ {}, {other} }}", self.rng.word(net))
            }
        }
    }

    fn set(&mut self, kind: &'static str, elements: String, flags: &str) -> String {
        let name = format!("s{}", self.sets.len());
        let flags = if flags.is_empty() { String::new() } else { format!("flags {flags}; ") };
        self.declarations
            .push_str(&format!("\tset {name} {{ type {kind}; {flags}elements = {{ {elements} }} }}\n"));
        self.sets.push((name.clone(), kind));
        name
    }

    /// One match; empty when the die falls on none.
    #[allow(clippy::too_many_lines)]
    fn condition(&mut self, p: &Place) -> String {
        let v6 = match p.family {
            Family::Ip => false,
            Family::Ip6 => true,
            _ => self.rng.chance(40),
        };
        let ip = if v6 { "ip6" } else { "ip" };
        let side = if self.rng.chance(50) { "saddr" } else { "daddr" };
        let has_in = matches!(p.hook, Hook::Prerouting | Hook::Input | Hook::Forward | Hook::Ingress);
        let has_out = matches!(p.hook, Hook::Forward | Hook::Output | Hook::Postrouting | Hook::Egress);
        let tracked = p.family != Family::Netdev && (p.hook != Hook::Prerouting || p.priority >= -200);
        match self.rng.below(42) {
            0..=4 => {
                self.feature("ports");
                let proto = self.rng.word("tcp tcp udp th");
                if proto == "th" {
                    return format!("meta l4proto {{ tcp, udp }} th dport {}", self.ports());
                }
                format!("{proto} {} {}", self.rng.word("dport dport sport"), self.ports())
            }
            5..=8 => {
                self.feature("addresses");
                format!("{ip} {side} {}", self.address(v6))
            }
            9 => {
                self.feature("named set");
                let (kind, one, net) = if v6 { ("ipv6_addr", V6, NET6) } else { ("ipv4_addr", V4, NET4) };
                let name = if self.rng.chance(50) {
                    let e = format!("{}, {}", self.rng.word(one), if v6 { "fd00::99" } else { "192.0.2.9" });
                    self.set(kind, e, "")
                } else {
                    let e = format!(
                        "{}, {}",
                        self.rng.word(net),
                        if v6 { "fd00:99::/64" } else { "192.0.2.0/24" }
                    );
                    self.set(kind, e, "interval")
                };
                format!("{ip} {side} {}@{name}", if self.rng.chance(25) { "!= " } else { "" })
            }
            10 => {
                self.feature("concatenation");
                let (a, b) = if v6 {
                    (self.rng.word(V6), self.rng.word(V6))
                } else {
                    (self.rng.word(V4), self.rng.word(V4))
                };
                let (x, y) = (self.rng.word(PORTS), self.rng.word(PORTS));
                let proto = self.rng.word("tcp udp");
                match self.rng.below(4) {
                    0 => format!("{ip} saddr . {proto} dport {{ {a} . {x}, {b} . 9 }}"),
                    1 => format!(
                        "{ip} daddr . {proto} dport . meta l4proto {{ {a} . {x} . {proto}, {b} . {y} . {proto} }}"
                    ),
                    2 => {
                        self.feature("concatenated ranges");
                        let (n, m) = if v6 {
                            (self.rng.word(NET6), "fd00:70::/64")
                        } else {
                            (self.rng.word(NET4), "192.0.2.0/24")
                        };
                        format!("{ip} saddr . {proto} dport {{ {n} . 1-{y}, {m} . 5 }}")
                    }
                    _ => {
                        self.feature("concatenated ranges");
                        let kind = if v6 { "ipv6_addr . inet_service" } else { "ipv4_addr . inet_service" };
                        let n = if v6 { self.rng.word(NET6) } else { self.rng.word(NET4) };
                        let name = self.set(kind, format!("{n} . {x}-65535, {a} . 7"), "interval");
                        format!("{ip} daddr . {proto} dport @{name}")
                    }
                }
            }
            11 => {
                self.feature("protocol");
                let not = if self.rng.chance(30) { "!= " } else { "" };
                match self.rng.below(4) {
                    0 => format!("meta l4proto {not}{}", self.rng.word("tcp udp icmp ipv6-icmp")),
                    1 => format!("meta l4proto {not}{{ tcp, {} }}", self.rng.word("udp icmp ipv6-icmp")),
                    2 if v6 => format!("ip6 nexthdr {not}{}", self.rng.word("tcp udp ipv6-icmp")),
                    _ if v6 => format!("ip6 nexthdr {{ {}, 99 }}", self.rng.word("tcp udp ipv6-icmp")),
                    2 => format!("ip protocol {not}{}", self.rng.word("tcp udp icmp")),
                    _ => format!("ip protocol {{ {}, 99 }}", self.rng.word("tcp udp icmp")),
                }
            }
            12 if p.family == Family::Inet => {
                self.feature("nfproto");
                format!("meta nfproto {}", self.rng.word("ipv4 ipv6"))
            }
            12 => {
                self.feature("protocol");
                format!(
                    "meta protocol {}{}",
                    if self.rng.chance(30) { "!= " } else { "" },
                    self.rng.word("ip ip6")
                )
            }
            13 | 14 if has_in => {
                self.feature("devices");
                match self.rng.below(5) {
                    0 => format!("iifname {}", self.rng.word("\"in0\" \"out0\" \"in*\" \"out*\"")),
                    1 => format!("iifname != {}", self.rng.word("\"in0\" \"out0\" \"in*\"")),
                    2 => format!("iif {}", self.rng.word("in0 out0 lo")),
                    3 => format!("iifname {{ \"lo\", {} }}", self.rng.word("\"in0\" \"out1\"")),
                    _ => "iiftype ether".to_string(),
                }
            }
            13..=15 if has_out => {
                self.feature("devices");
                match self.rng.below(4) {
                    0 => {
                        format!("meta oifname {}", self.rng.word("\"in0\" \"out0\" \"out1\" \"out*\" \"lo\""))
                    }
                    1 => format!("oifname != {}", self.rng.word("\"out0\" \"out1\" \"lo\"")),
                    2 => format!("meta oif {}", self.rng.word("out0 out1 lo")),
                    _ => format!("oifname {{ \"lo\", {} }}", self.rng.word("\"out0\" \"out1\"")),
                }
            }
            16..=18 if tracked => {
                self.feature("ct state");
                match self.rng.below(6) {
                    0 => "ct state new".into(),
                    1 => "ct state established,related".into(),
                    2 => "ct state invalid".into(),
                    3 => format!("ct state != {}", self.rng.word("new established invalid")),
                    4 => format!("ct state {{ {}, untracked }}", self.rng.word("new established")),
                    _ => "ct state new,untracked".into(),
                }
            }
            19 if tracked => {
                self.feature("ct");
                match self.rng.below(8) {
                    0 => format!("ct direction {}", self.rng.word("original reply")),
                    1 => format!("ct status {}", self.rng.word("snat dnat assured confirmed")),
                    2 => format!("ct mark {}", self.rng.word("0 1 0x5 {0,1}")),
                    3 if !v6 => format!("ct original ip saddr {}", self.rng.word(V4)),
                    3 => format!("ct original ip6 saddr {}", self.rng.word(V6)),
                    4 if !v6 => format!("ct reply ip saddr {}", self.rng.word(NET4)),
                    4 => format!("ct reply ip6 saddr {}", self.rng.word(NET6)),
                    5 => format!("ct protocol {}", self.rng.word("tcp udp")),
                    6 => format!(
                        "meta l4proto {} ct original proto-dst {}",
                        self.rng.word("tcp udp"),
                        self.rng.word(PORTS)
                    ),
                    _ => format!("ct zone {}", self.rng.word("0 5")),
                }
            }
            20 | 21 => {
                self.feature("mark");
                match self.rng.below(5) {
                    0 => format!("meta mark {}", self.rng.word("0 0x1 0x5 0x10")),
                    1 => format!("meta mark != {}", self.rng.word("0 0x1 0x5")),
                    2 => format!(
                        "meta mark & {} == {}",
                        self.rng.word("0xf 0xff 0x11"),
                        self.rng.word("0 0x1 0x5")
                    ),
                    3 => format!("meta mark {{ 0x1, {} }}", self.rng.word("0 0x5 0x10-0x20")),
                    _ => format!("meta mark {}", self.rng.word("0x1-0x5 >0x4 <0x3")),
                }
            }
            22 => {
                self.feature("length");
                format!("meta length {}", self.rng.word("29 60 <50 >50 28-60 >=64 {60,84}"))
            }
            23 | 24 => {
                self.feature("tcp flags");
                match self.rng.below(7) {
                    0 => "tcp flags syn".into(),
                    1 => "tcp flags syn / syn,ack".into(),
                    2 => "tcp flags & (fin | syn | rst | ack) == syn".into(),
                    3 => "tcp flags != syn".into(),
                    4 => "tcp flags & (syn | ack) == syn | ack".into(),
                    5 => format!("tcp flags {}", self.rng.word("ack rst fin,ack")),
                    _ => "tcp flags { syn, ack, rst }".into(),
                }
            }
            25 | 26 => {
                self.feature("icmp");
                if v6 {
                    format!(
                        "icmpv6 type {}",
                        self.rng.word(
                            "echo-request echo-reply {echo-request,nd-neighbor-solicit} {echo-reply,128}"
                        )
                    )
                } else {
                    format!(
                        "icmp type {}",
                        self.rng
                            .word("echo-request echo-reply {echo-request,timestamp-request} {echo-reply,3}")
                    )
                }
            }
            27 => {
                self.feature("header fields");
                if v6 {
                    match self.rng.below(4) {
                        0 => format!("ip6 hoplimit {}", self.rng.word("64 <5 >=64 63 {1,64}")),
                        1 => format!("ip6 length {}", self.rng.word("<30 >30 40")),
                        2 => format!("ip6 dscp {}", self.rng.word("cs0 ef cs2")),
                        _ => "ip6 version 6".into(),
                    }
                } else {
                    match self.rng.below(7) {
                        0 => format!("ip ttl {}", self.rng.word("64 <5 >=64 63 {1,64}")),
                        1 => format!("ip length {}", self.rng.word("<30 >30 60 29-60")),
                        2 => format!("ip dscp {}", self.rng.word("cs0 ef cs2 {cs0,ef}")),
                        3 => "ip version 4".into(),
                        4 => "ip hdrlength 5".into(),
                        5 => "ip frag-off & 0x1fff != 0".into(),
                        _ => format!("ip ecn {}", self.rng.word("not-ect ce")),
                    }
                }
            }
            28 if p.hook == Hook::Output => {
                self.feature("owner");
                format!("meta skuid {}", self.rng.word("0 1000 !=0 {0,7} 1-5"))
            }
            29 if !matches!(p.family, Family::Netdev) => {
                self.feature("fib");
                match self.rng.below(5) {
                    0 => {
                        format!("fib daddr type {}", self.rng.word("local unicast {local,broadcast} !=local"))
                    }
                    1 => format!("fib saddr type {}", self.rng.word("local unicast {local,broadcast}")),
                    2 if p.hook == Hook::Prerouting => {
                        format!("fib saddr . iif oif {}", self.rng.word("missing exists"))
                    }
                    3 if has_in && p.hook != Hook::Forward => "fib daddr . iif type local".into(),
                    _ => format!("fib daddr oifname {}", self.rng.word("\"out0\" \"out1\" \"in0\"")),
                }
            }
            30 => {
                self.feature("numgen");
                match self.rng.below(4) {
                    0 => "numgen inc mod 1 0".into(),
                    1 => "numgen random mod 10 < 10".into(),
                    2 => "numgen random mod 10 > 20".into(),
                    _ => format!("jhash {ip} saddr mod 1 0"),
                }
            }
            31 => {
                self.feature("limit");
                match self.rng.below(5) {
                    0 => "limit rate 10000/second burst 10000 packets".into(),
                    1 => "limit rate over 10000/second burst 10000 packets".into(),
                    2 => "quota 100 mbytes".into(),
                    3 => "quota over 100 mbytes".into(),
                    _ if tracked => {
                        format!("ct count {}", self.rng.word("1000 100000")).replace("count", "count over")
                    }
                    _ => "limit rate 1 mbytes/second burst 10 mbytes".into(),
                }
            }
            32 if p.hook == Hook::Prerouting || p.hook == Hook::Ingress => {
                self.feature("ether");
                format!("ether type {}", self.rng.word("ip ip6"))
            }
            33 => {
                self.feature("exthdr");
                if v6 {
                    format!("exthdr {} {}", self.rng.word("frag hbh rt"), self.rng.word("exists missing"))
                } else {
                    format!(
                        "tcp option {} {}",
                        self.rng.word("maxseg sack-perm window timestamp"),
                        self.rng.word("exists missing")
                    )
                }
            }
            34 if matches!(p.hook, Hook::Prerouting | Hook::Input) && p.family != Family::Netdev => {
                self.feature("socket");
                format!("socket wildcard {}", self.rng.word("0 1"))
            }
            35 => {
                self.feature("pkttype");
                format!("meta pkttype {}", self.rng.word("host broadcast {host,multicast}"))
            }
            36 if !v6 => {
                self.feature("addresses");
                format!(
                    "ip {side} & {} == {}",
                    self.rng.word("0.0.0.255 255.255.0.255"),
                    self.rng.word("0.0.0.2 0.0.0.1 203.0.0.2")
                )
            }
            37 => {
                self.feature("raw payload");
                match self.rng.below(3) {
                    0 => format!("@th,16,16 {}", self.rng.word(PORTS)),
                    1 => format!("@nh,0,4 {}", self.rng.word("4 6")),
                    _ => format!("@th,0,32 & 0xffff == {}", self.rng.word(PORTS)),
                }
            }
            38 if matches!(p.hook, Hook::Forward | Hook::Postrouting) && p.family != Family::Netdev => {
                self.feature("rt");
                if v6 {
                    format!("rt ip6 nexthop {}", self.rng.word("2001:db8:2::2 2001:db8:3::2"))
                } else {
                    format!("rt ip nexthop {}", self.rng.word("203.0.113.2 203.0.113.66"))
                }
            }
            _ => String::new(),
        }
    }

    fn reject(&mut self, p: &Place) -> String {
        self.feature("reject");
        let plain = self.rng.chance(40);
        match p.family {
            _ if plain => "reject".into(),
            Family::Inet => format!(
                "reject with icmpx {}",
                self.rng.word("port-unreachable no-route host-unreachable admin-prohibited")
            ),
            Family::Ip => format!(
                "reject with icmp {}",
                self.rng.word("port-unreachable net-unreachable host-unreachable prot-unreachable net-prohibited host-prohibited admin-prohibited")
            ),
            _ => format!("reject with icmpv6 {}", self.rng.word("port-unreachable no-route addr-unreachable admin-prohibited")),
        }
    }

    /// A verdict or a statement at the end of a rule; may be a match with a verdict of its own (vmap).
    fn action(&mut self, p: &Place) -> String {
        let jump = p.jumps.clone();
        let rejects = matches!(p.hook, Hook::Input | Hook::Forward | Hook::Output | Hook::Prerouting);
        match self.rng.below(24) {
            0..=4 => "accept".into(),
            5..=8 => "drop".into(),
            9 | 10 if !jump.is_empty() => {
                self.feature("jump");
                format!("{} {}", self.rng.word("jump jump goto"), self.rng.pick(&jump))
            }
            11 => self.rng.word("return continue").to_string(),
            12 | 13 if rejects && p.family != Family::Netdev => self.reject(p),
            14 if rejects && p.family != Family::Netdev => {
                self.feature("reject");
                "meta l4proto tcp reject with tcp reset".into()
            }
            15 | 16 => {
                self.feature("mark set");
                match self.rng.below(5) {
                    0 => format!("meta mark set {}", self.rng.word("0x1 0x5 0x10 0")),
                    1 => "meta mark set meta mark | 0x10".into(),
                    2 => "meta mark set meta mark & 0xf".into(),
                    3 => {
                        self.feature("data map");
                        format!(
                            "meta mark set tcp dport map {{ 80 : 0x1, 443 : 0x5, {} : 0x10 }}",
                            self.rng.word("22 8080 2000-3000")
                        )
                    }
                    _ if p.family != Family::Netdev && p.priority > -200 => {
                        self.feature("ct mark");
                        self.rng
                            .pick(&["ct mark set 0x1", "ct mark set meta mark", "meta mark set ct mark"])
                            .to_string()
                    }
                    _ => "meta mark set 0x1 accept".into(),
                }
            }
            17 => {
                self.feature("counter and log");
                self.rng
                    .pick(&[
                        "counter",
                        "counter drop",
                        "counter accept",
                        "log prefix \"x\"",
                        "counter return",
                    ])
                    .to_string()
            }
            18 | 19 => {
                self.feature("vmap");
                let mut verdicts =
                    vec!["accept".to_string(), "drop".into(), "return".into(), "continue".into()];
                verdicts.extend(jump.iter().map(|j| format!("jump {j}")));
                let v = |rng: &mut Rng| rng.pick(&verdicts).clone();
                match self.rng.below(5) {
                    0 => format!(
                        "tcp dport vmap {{ 80 : {}, 443 : {}, 22 : {} }}",
                        v(self.rng),
                        v(self.rng),
                        v(self.rng)
                    ),
                    1 => format!("udp dport vmap {{ 1-80 : {}, 443-8080 : {} }}", v(self.rng), v(self.rng)),
                    2 => format!(
                        "meta l4proto vmap {{ tcp : {}, udp : {}, * : {} }}",
                        v(self.rng),
                        v(self.rng),
                        v(self.rng)
                    ),
                    3 if p.family != Family::Netdev && p.priority > -200 => {
                        format!(
                            "ct state vmap {{ new : {}, established : {}, invalid : {} }}",
                            v(self.rng),
                            v(self.rng),
                            v(self.rng)
                        )
                    }
                    _ => format!(
                        "meta mark vmap {{ 0x0 : {}, 0x1 : {}, 0x5 : {} }}",
                        v(self.rng),
                        v(self.rng),
                        v(self.rng)
                    ),
                }
            }
            20 if p.priority <= -300 && p.family != Family::Netdev => {
                self.feature("notrack");
                "notrack".into()
            }
            21 if p.family != Family::Netdev => {
                self.feature("header set");
                let v6 = p.family == Family::Ip6;
                match (v6, self.rng.below(3)) {
                    (true, 0) => format!("ip6 hoplimit set {}", self.rng.word("64 2")),
                    (true, _) => "ip6 dscp set ef".into(),
                    (false, 0) if p.family == Family::Ip => format!("ip ttl set {}", self.rng.word("64 2")),
                    (false, 1) if p.family == Family::Ip => "ip dscp set ef".into(),
                    _ => "counter".into(),
                }
            }
            22 if p.family != Family::Netdev && p.hook != Hook::Output => {
                self.feature("dynset");
                self.remembers = true;
                let name = format!("d{}", self.sets.len());
                let v6 = p.family == Family::Ip6;
                let kind = if v6 { "ipv6_addr" } else { "ipv4_addr" };
                self.declarations
                    .push_str(&format!("\tset {name} {{ type {kind}; flags dynamic; size 1000; }}\n"));
                self.sets.push((name.clone(), kind));
                let ip = if v6 { "ip6" } else { "ip" };
                format!("add @{name} {{ {ip} {} }} {ip} saddr @{name} drop", self.rng.word("saddr daddr"))
            }
            23 => {
                self.feature("numgen");
                self.rng.pick(&["numgen inc mod 2 0 counter", "numgen random mod 2 0 counter"]).to_string()
            }
            _ => String::new(),
        }
    }

    fn rule(&mut self, p: &Place) -> String {
        let mut words: Vec<String> = Vec::new();
        for _ in 0..=self.rng.below(3) {
            let c = self.condition(p);
            if !c.is_empty() {
                words.push(c);
            }
        }
        let a = self.action(p);
        if !a.is_empty() {
            words.push(a);
        }
        if words.is_empty() { "counter".into() } else { words.join(" ") }
    }

    /// A rule of a nat chain.
    fn nat_rule(&mut self, p: &Place) -> String {
        let v6 = p.family == Family::Ip6 || (p.family == Family::Inet && self.rng.chance(40));
        let ip = if v6 { "ip6" } else { "ip" };
        let own = if p.family == Family::Inet { format!(" {ip}") } else { String::new() };
        let proto = self.rng.word("tcp udp");
        let condition = match self.rng.below(4) {
            0 => format!("{proto} dport {}", self.ports()),
            1 => format!("{ip} {} {}", self.rng.word("saddr daddr"), self.address(v6)),
            2 => self.condition(p),
            _ => String::new(),
        };
        let v4_only = if p.family == Family::Inet {
            format!("meta nfproto ipv{} ", if v6 { 6 } else { 4 })
        } else {
            String::new()
        };
        let with_port = format!("{proto} dport {}", self.rng.word(PORTS));
        let to4 = "203.0.113.2 203.0.113.66 203.0.113.130 198.51.100.1 203.0.113.1";
        let to6 = "2001:db8:2::2 2001:db8:3::2 2001:db8:9::9 2001:db8:1::1";
        let to = self.rng.word(if v6 { to6 } else { to4 }).to_string();
        let bracket = if v6 { format!("[{to}]") } else { to.clone() };
        let port = self.rng.word("80 443 8080 53");
        match p.hook {
            Hook::Prerouting | Hook::Output => {
                self.feature("dnat");
                match self.rng.below(8) {
                    0 | 1 => format!("{v4_only}{condition} dnat{own} to {to}"),
                    2 => format!("{v4_only}{with_port} dnat{own} to {bracket}:{port}"),
                    3 => {
                        self.feature("redirect");
                        format!("{with_port} redirect to :{port}")
                    }
                    4 => {
                        self.feature("redirect");
                        format!("{condition} redirect")
                    }
                    5 if !v6 => {
                        self.feature("data map");
                        format!(
                            "{v4_only}dnat{own} to {proto} dport map {{ 80 : 203.0.113.2, 443 : 203.0.113.66 }}"
                        )
                    }
                    6 => format!("{condition} {}", self.rng.word("accept return counter")),
                    _ => format!("{v4_only}{with_port} dnat{own} to {to}"),
                }
            }
            _ => {
                self.feature("snat");
                let from = self.rng.word(if v6 {
                    "2001:db8:2::77 2001:db8:3::1"
                } else {
                    "203.0.113.9 203.0.113.65"
                });
                match self.rng.below(6) {
                    0 | 1 => {
                        self.feature("masquerade");
                        format!("{condition} masquerade")
                    }
                    2 => {
                        self.feature("masquerade");
                        "oifname \"out*\" masquerade".to_string()
                    }
                    3 => format!("{condition} {}", self.rng.word("accept return counter")),
                    _ => format!("{v4_only}{condition} snat{own} to {from}"),
                }
            }
        }
    }
}

/// A random ruleset for one way.
pub(crate) fn ruleset(rng: &mut Rng, way: Way) -> Ruleset {
    let mut out = Ruleset { text: "flush ruleset\n".into(), ..Ruleset::default() };
    let tables = 1 + rng.below(3);
    for t in 0..tables {
        let family = *rng.pick(&[Family::Inet, Family::Inet, Family::Ip, Family::Ip6, Family::Netdev]);
        let mut maker = Maker {
            rng,
            features: std::mem::take(&mut out.features),
            remembers: out.remembers,
            sets: Vec::new(),
            declarations: String::new(),
        };
        maker.feature(match family {
            Family::Inet => "family inet",
            Family::Ip => "family ip",
            Family::Ip6 => "family ip6",
            Family::Netdev => "family netdev",
        });
        let mut chains = String::new();
        let jumps: Vec<String> = (0..maker.rng.below(3)).map(|i| format!("j{i}")).collect();
        let base = 1 + maker.rng.below(3);
        let mut places = Vec::new();
        for b in 0..base {
            let place = place(maker.rng, family, way, &jumps);
            let hook = match place.hook {
                Hook::Ingress => "ingress",
                Hook::Prerouting => "prerouting",
                Hook::Input => "input",
                Hook::Forward => "forward",
                Hook::Output => "output",
                Hook::Postrouting => "postrouting",
                Hook::Egress => "egress",
            };
            let device = match place.hook {
                Hook::Ingress => " device \"in0\"".to_string(),
                Hook::Egress => format!(" device \"{}\"", maker.rng.word("out0 out1")),
                _ => String::new(),
            };
            let drops = place.kind == "filter" && maker.rng.chance(25);
            let policy = if drops { "drop" } else { "accept" };
            if drops {
                maker.feature("policy drop");
            }
            chains.push_str(&format!(
                "\tchain b{b} {{\n\t\ttype {} hook {hook}{device} priority {}; policy {policy};\n",
                place.kind, place.priority
            ));
            // The test's own frames, which prove that everything before them was handled.
            if place.hook == Hook::Egress {
                chains.push_str("\t\tmeta protocol 0x88b5 accept\n");
            }
            // Refusals made by m for its own sockets pass the same chains.
            if way == Way::Out
                && matches!(place.hook, Hook::Output | Hook::Postrouting)
                && place.kind != "nat"
            {
                chains.push_str("\t\toif lo tcp flags & rst == rst accept\n");
                if family != Family::Ip6 {
                    chains.push_str("\t\toif lo icmp type destination-unreachable accept\n");
                }
                if family != Family::Ip {
                    chains.push_str("\t\toif lo icmpv6 type destination-unreachable accept\n");
                }
            }
            // What goes back to the asker is not the question.
            if way == Way::In && place.hook == Hook::Postrouting {
                chains.push_str("\t\toifname \"in0\" accept\n");
            }
            for _ in 0..1 + maker.rng.below(5) {
                let rule = if place.kind == "nat" { maker.nat_rule(&place) } else { maker.rule(&place) };
                chains.push_str(&format!("\t\t{}\n", rule.trim()));
            }
            chains.push_str("\t}\n");
            places.push(place);
        }
        let mut targets = String::new();
        for (i, name) in jumps.iter().enumerate() {
            // Chains jump only onward, or the kernel would see a loop; and only do what every caller may do.
            let place = Place {
                family,
                hook: if family == Family::Netdev { places[0].hook } else { Hook::Postrouting },
                kind: "filter",
                priority: 0,
                jumps: jumps[i + 1..].to_vec(),
            };
            targets.push_str(&format!("\tchain {name} {{\n"));
            for _ in 0..maker.rng.below(4) {
                let rule = jump_rule(&mut maker, &place);
                targets.push_str(&format!("\t\t{}\n", rule.trim()));
            }
            targets.push_str("\t}\n");
        }
        let word = match family {
            Family::Inet => "inet",
            Family::Ip => "ip",
            Family::Ip6 => "ip6",
            Family::Netdev => "netdev",
        };
        let declarations = std::mem::take(&mut maker.declarations);
        out.features = std::mem::take(&mut maker.features);
        out.remembers = maker.remembers;
        out.text.push_str(&format!("table {word} t{t} {{\n{declarations}{targets}{chains}}}\n"));
    }
    out
}

/// Rules of a chain that is jumped to use only what is allowed at every hook.
fn jump_rule(maker: &mut Maker<'_>, p: &Place) -> String {
    loop {
        let rule = maker.rule(p);
        let bound =
            ["oif", "rt ip", "notrack", "fib", "reject", "ct ", "iif", "skuid", "socket", "set", "add @"];
        if !bound.iter().any(|w| rule.contains(w)) {
            return rule;
        }
    }
}

fn place(rng: &mut Rng, family: Family, way: Way, jumps: &[String]) -> Place {
    let jumps = jumps.to_vec();
    if family == Family::Netdev {
        let hook = if way == Way::In && rng.chance(70) { Hook::Ingress } else { Hook::Egress };
        return Place { family, hook, kind: "filter", priority: rng.below(5) as i32 - 2, jumps };
    }
    let hook = match way {
        Way::In => *rng.pick(&[
            Hook::Prerouting,
            Hook::Prerouting,
            Hook::Input,
            Hook::Input,
            Hook::Forward,
            Hook::Forward,
            Hook::Postrouting,
        ]),
        Way::Out => *rng.pick(&[Hook::Output, Hook::Output, Hook::Postrouting]),
    };
    let nat = matches!(hook, Hook::Prerouting | Hook::Postrouting | Hook::Output) && rng.chance(30);
    if nat {
        let priority = if matches!(hook, Hook::Postrouting) { 100 } else { -100 };
        return Place {
            family,
            hook,
            kind: "nat",
            priority: priority + rng.below(3) as i32,
            jumps: Vec::new(),
        };
    }
    let route = hook == Hook::Output && rng.chance(35);
    let priority = match hook {
        Hook::Prerouting => *rng.pick(&[-300, -300, -150, -99, 0]),
        Hook::Output => *rng.pick(&[-300, -150, -150, 0, 10]),
        _ => *rng.pick(&[-150, 0, 0, 10, 50]),
    };
    Place { family, hook, kind: if route { "route" } else { "filter" }, priority, jumps }
}
