//! Random policy rules, routes and settings in the words of ip(8) and sysctl(8).

use crate::rng::Rng;

/// What was changed, and how to change it back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Routing {
    /// By family, for `ip -4 -batch` and `ip -6 -batch`.
    pub(crate) apply: [String; 2],
    pub(crate) revert: [String; 2],
    pub(crate) sysctls: Vec<(String, &'static str, &'static str)>,
    pub(crate) features: Vec<&'static str>,
}

impl Routing {
    pub(crate) fn text(&self) -> String {
        let settings: Vec<String> = self.sysctls.iter().map(|(n, v, _)| format!("{n}={v}")).collect();
        format!("{}{}{}", self.apply[0], self.apply[1], settings.join(" "))
    }
    fn add(&mut self, v6: bool, object: &str, line: String) {
        let family = usize::from(v6);
        self.apply[family].push_str(&format!("{object} add {line}\n"));
        self.revert[family].insert_str(0, &format!("{object} del {line}\n"));
    }
    fn feature(&mut self, name: &'static str) {
        if !self.features.contains(&name) {
            self.features.push(name);
        }
    }
}

/// Random routing.
pub(crate) fn routing(rng: &mut Rng) -> Routing {
    let mut out = Routing::default();
    // The way back to the client stays open, or nothing could be seen of answers.
    out.add(false, "rule", "to 198.51.100.0/24 priority 1 lookup 99".into());
    out.add(true, "rule", "to 2001:db8:1::/64 priority 1 lookup 99".into());
    let mut used = Vec::new();
    for _ in 0..rng.below(5) {
        route(rng, &mut out, &mut used);
    }
    let mut priorities = Vec::new();
    for _ in 0..rng.below(4) {
        rule(rng, &mut out, &mut priorities);
    }
    if rng.chance(40) {
        let dev = rng.word("all in0 out0");
        let value = *rng.pick(&["1", "2"]);
        out.sysctls.push((format!("net.ipv4.conf.{dev}.rp_filter"), value, "0"));
        out.feature("rp_filter");
    }
    if rng.chance(15) {
        let (name, value, back) = *rng.pick(&[
            ("net.ipv4.conf.in0.accept_local", "1", "0"),
            ("net.ipv4.conf.in0.route_localnet", "1", "0"),
            ("net.ipv4.icmp_echo_ignore_all", "1", "0"),
            ("net.ipv4.conf.in0.forwarding", "0", "1"),
            ("net.ipv6.conf.all.forwarding", "0", "1"),
            ("net.ipv4.ip_forward", "0", "1"),
            ("net.ipv6.icmp.echo_ignore_all", "1", "0"),
        ]);
        out.sysctls.push((name.into(), value, back));
        out.feature("settings");
    }
    out
}

const NET4: &str = "203.0.113.128/25 203.0.113.128/26 203.0.113.130/32 203.0.113.2/32 203.0.113.66/32 198.51.100.77/32 203.0.113.0/24";
const NET6: &str = "2001:db8:9::/48 2001:db8:9::9/128 2001:db8:8::/45 2001:db8:2::3/128 2001:db8:3::2/128";

fn route(rng: &mut Rng, out: &mut Routing, used: &mut Vec<String>) {
    let v6 = rng.chance(35);
    let table = rng.word("main main 100 100 101");
    let net = if rng.chance(20) && table != "main" {
        if v6 { "::/0" } else { "0.0.0.0/0" }
    } else {
        rng.word(if v6 { NET6 } else { NET4 })
    };
    let metric = rng.word("5 10 20");
    let key = format!("{net} {table} {metric}");
    if used.contains(&key) {
        return;
    }
    used.push(key);
    let (g0, g1) = if v6 { ("2001:db8:2::2", "2001:db8:3::2") } else { ("203.0.113.2", "203.0.113.66") };
    let tail = format!("table {table} metric {metric}");
    match rng.below(10) {
        0..=2 => {
            out.feature("routes");
            out.add(v6, "route", format!("{net} via {g0} dev out0 {tail}"));
        }
        3..=5 => {
            out.feature("routes");
            out.add(v6, "route", format!("{net} via {g1} dev out1 {tail}"));
        }
        6 | 7 => {
            out.feature("denying routes");
            let kind = rng.word("blackhole unreachable prohibit throw");
            out.add(v6, "route", format!("{kind} {net} {tail}"));
        }
        8 if !v6 => {
            out.feature("tos routes");
            out.add(v6, "route", format!("{net} tos 0x10 via {g1} dev out1 {tail}"));
        }
        _ if !v6 => {
            out.feature("multipath");
            out.add(v6, "route", format!("{net} {tail} nexthop via {g0} dev out0 nexthop via {g1} dev out1"));
        }
        _ => {
            out.feature("routes");
            out.add(v6, "route", format!("{net} via {g1} dev out1 {tail}"));
        }
    }
}

fn rule(rng: &mut Rng, out: &mut Routing, priorities: &mut Vec<String>) {
    let v6 = rng.chance(35);
    let priority = rng.word("10 20 30 40 50 32000 32800");
    if priorities.iter().any(|p| p == &format!("{v6}{priority}")) {
        return;
    }
    priorities.push(format!("{v6}{priority}"));
    let mut selectors = String::new();
    if rng.chance(12) {
        selectors.push_str("not ");
        out.feature("inverted rules");
    }
    let from = if rng.chance(30) {
        rng.word(if v6 {
            "2001:db8:1::/48 2001:db8:1::2 2001:db8:2::1"
        } else {
            "198.51.100.0/24 198.51.100.2 203.0.113.1 203.0.113.0/24"
        })
    } else {
        "all"
    };
    selectors.push_str(&format!("from {from}"));
    if rng.chance(30) {
        selectors.push_str(&format!(
            " to {}",
            rng.word(if v6 { "2001:db8:9::/48 2001:db8::/32" } else { "203.0.113.128/25 203.0.113.0/24" })
        ));
    }
    if rng.chance(25) {
        selectors.push_str(&format!(" fwmark {}", rng.word("0x1 0x5 0x10/0x10 0x0/0xff")));
        out.feature("fwmark rules");
    }
    if rng.chance(20) {
        selectors.push_str(&format!(" iif {}", rng.word("in0 lo out0")));
        out.feature("iif rules");
    }
    if rng.chance(20) {
        selectors.push_str(&format!(" ipproto {}", rng.word("tcp udp")));
        if rng.chance(70) {
            selectors.push_str(&format!(
                " {} {}",
                rng.word("dport dport sport"),
                rng.word("80 443 1-1023 1024-65000")
            ));
        }
        out.feature("port rules");
    }
    if rng.chance(10) {
        selectors.push_str(" tos 0x10");
        out.feature("tos rules");
    }
    if rng.chance(8) {
        selectors.push_str(&format!(" uidrange {}", rng.word("0-0 1-1000")));
        out.feature("uid rules");
    }
    let action = match rng.below(14) {
        0..=4 => "lookup 100".to_string(),
        5 | 6 => "lookup 101".into(),
        7 => "lookup main".into(),
        8 => {
            out.feature("suppress");
            format!("lookup main suppress_prefixlength {}", rng.word("0 24 25"))
        }
        9 => {
            out.feature("denying rules");
            rng.word("blackhole unreachable prohibit").to_string()
        }
        10 if matches!(priority, "10" | "20" | "30") => {
            out.feature("goto rules");
            "goto 32766".into()
        }
        11 => "nop".into(),
        _ => "lookup 100".into(),
    };
    out.feature("policy rules");
    out.add(v6, "rule", format!("{selectors} priority {priority} {action}"));
}
