//! What the lab builds, read back by the classical tools where they are installed.

use std::path::Path;
use std::process::Stdio;

use netwhy_change::ipt::{IptRule, Target};
use netwhy_change::nft::{Element, Hook, KeyType, Nft, Policy, Refuse, Table, Verdict};
use netwhy_change::route::Route;
use netwhy_change::rule::Rule;
use netwhy_lab::{Lab, LabError, Topology};

use super::Test;

type Check = fn() -> Result<String, LabError>;

/// Runs a tool in a node. `Unsupported` if it is not installed.
fn tool(lab: &mut Lab, node: &str, words: &[&str]) -> Result<String, LabError> {
    let program = words.first().copied().unwrap_or_default();
    let found = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]
        .iter()
        .map(|directory| Path::new(directory).join(program))
        .find(|path| path.exists());
    let path = found.ok_or_else(|| LabError::Unsupported(format!("{program} is not installed")))?;
    let path = path.display().to_string();
    let all: Vec<&str> = std::iter::once(path.as_str()).chain(words.iter().skip(1).copied()).collect();
    let child = lab.node(node)?.spawn_any(&all, |command| {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    })?;
    let output = child.wait_with_output().map_err(|error| LabError::Unexpected(error.to_string()))?;
    if !output.status.success() {
        let grumble = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(LabError::Unexpected(format!("{program}: {grumble}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn must_say(said: &str, lines: &[&str]) -> Result<String, LabError> {
    let squeezed: Vec<String> =
        said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in lines {
        if !squeezed.iter().any(|have| have == line) {
            return Err(LabError::Unexpected(format!("\"{line}\" is not in:\n{said}")));
        }
    }
    Ok(format!("{} lines as meant", lines.len()))
}

fn two_hosts() -> Result<Lab, LabError> {
    let mut lab = Lab::of_this_program()?;
    Topology::TwoHosts.build(&mut lab)?;
    Ok(lab)
}

fn nft_reads_what_was_built() -> Result<String, LabError> {
    let mut lab = two_hosts()?;
    let node = lab.node("client")?;
    let pair = [KeyType::Ip4Destination, KeyType::TcpPort];
    let ports = [KeyType::TcpPort];
    let far = [KeyType::Ip4Destination];
    Nft::new(Table::Inet, "t")
        .base("output", Hook::Output, -5, Policy::Drop)
        .chain("side")
        .set("pairs", &pair, &[Element::new("203.0.113.2 . 8080")])
        .set("far", &far, &[Element::interval("192.0.2.0", "192.0.3.0")])
        .set(
            "ports",
            &ports,
            &[Element::new("22").verdict(Verdict::Accept), Element::new("80").verdict(Verdict::Drop)],
        )
        .rule("output", |r| r.daddr("203.0.113.0/28").tcp_dport(8080).drop())
        .rule("output", |r| r.saddr("2001:db8:1::/64").udp_sport(53).accept())
        .rule("output", |r| r.ct_state(2 | 4).accept())
        .rule("output", |r| r.tcp_dport_range(8000, 8100).jump("side"))
        .rule("output", |r| r.tcp_flags(0x12, 0x02).oif("eth0").reject(Refuse::TcpReset))
        .rule("output", |r| r.lookup("pairs", &pair).reject(Refuse::Icmpx(3)))
        .rule("output", |r| r.lookup("far", &far).counter().accept())
        .rule("output", |r| r.verdict_map("ports", &ports))
        .rule("output", |r| r.mark(7).skuid(5).log("x").notrack())
        .rule("side", |r| r.icmp_type(8).limit(3, 5, true).drop())
        .commit(node)?;
    Nft::new(Table::Ip, "n")
        .nat("pre", Hook::Prerouting, -100)
        .nat("post", Hook::Postrouting, 100)
        .rule("pre", |r| r.iif("eth0").tcp_dport(80).dnat("203.0.113.9", Some(8080)))
        .rule("pre", |r| r.tcp_dport(81).redirect(3128))
        .rule("post", |r| r.tcp().masquerade_ports(50000, 50003))
        .rule("post", |r| r.snat("203.0.113.1"))
        .commit(node)?;
    Nft::new(Table::Netdev, "d")
        .device("in", Hook::Ingress, "eth0", Policy::Accept)
        .rule("in", |r| r.saddr("203.0.113.7").drop())
        .commit(node)?;
    let said = tool(&mut lab, "client", &["nft", "list", "ruleset"])?;
    must_say(
        &said,
        &[
            "type filter hook output priority filter - 5; policy drop;",
            "ip daddr 203.0.113.0/28 tcp dport 8080 drop",
            "ip6 saddr 2001:db8:1::/64 udp sport 53 accept",
            "ct state established,related accept",
            "tcp dport 8000-8100 jump side",
            "tcp flags syn / syn,ack oifname \"eth0\" reject with tcp reset",
            "ip daddr . tcp dport @pairs reject with icmpx admin-prohibited",
            "elements = { 203.0.113.2 . 8080 }",
            "elements = { 192.0.2.0/24 }",
            "elements = { 22 : accept, 80 : drop }",
            "tcp dport vmap @ports",
            "icmp type echo-request limit rate over 3/second drop",
            "iifname \"eth0\" tcp dport 80 dnat to 203.0.113.9:8080",
            "tcp dport 81 redirect to :3128",
            "meta l4proto tcp masquerade to :50000-50003",
            "snat to 203.0.113.1",
            "type filter hook ingress device \"eth0\" priority filter; policy accept;",
            "ip saddr 203.0.113.7 drop",
        ],
    )
}

fn iptables_reads_what_was_built() -> Result<String, LabError> {
    let mut lab = two_hosts()?;
    let node = lab.node("client")?;
    node.ipt_chain("iptables", "filter", "side")?;
    node.ipt_insert("iptables", "filter", "side", None, &IptRule::new(Target::Return).proto(1))?;
    let jump = IptRule::new(Target::Jump("side".to_owned())).source("203.0.113.0/24")?.iif("eth0");
    node.ipt_insert("iptables", "filter", "INPUT", None, &jump)?;
    node.ipt_insert("iptables", "filter", "INPUT", Some(1), &IptRule::new(Target::Accept).state(2 | 4))?;
    node.ipt_insert("iptables", "filter", "side", None, &IptRule::new(Target::Drop).tcp_dport(8080))?;
    node.ipt_insert("iptables", "filter", "OUTPUT", None, &IptRule::new(Target::Reject(3)).udp_dport(53))?;
    node.ipt_insert("iptables", "filter", "OUTPUT", Some(1), &IptRule::new(Target::Accept).oif("lo"))?;
    node.ipt_insert("iptables", "filter", "FORWARD", None, &IptRule::new(Target::Drop))?;
    node.ipt_delete("iptables", "filter", "FORWARD", 1)?;
    node.ipt_policy("iptables", "filter", "FORWARD", false)?;
    let dnat = IptRule::new(Target::Dnat("203.0.113.9".to_owned(), Some(8080))).tcp_dport(80);
    node.ipt_insert("iptables", "nat", "PREROUTING", None, &dnat)?;
    node.ipt_insert("iptables", "nat", "POSTROUTING", None, &IptRule::new(Target::Masquerade).oif("eth0"))?;
    node.ipt_insert("iptables", "raw", "OUTPUT", None, &IptRule::new(Target::Notrack).proto(17))?;
    let six = IptRule::new(Target::Drop).destination("2001:db8:1::2")?.tcp_dport(8080);
    node.ipt_insert("ip6tables", "filter", "OUTPUT", None, &six)?;
    must_say(
        &tool(&mut lab, "client", &["iptables-legacy", "-S"])?,
        &[
            "-P FORWARD DROP",
            "-N side",
            "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "-A INPUT -s 203.0.113.0/24 -i eth0 -j side",
            "-A OUTPUT -o lo -j ACCEPT",
            "-A OUTPUT -p udp -m udp --dport 53 -j REJECT --reject-with icmp-port-unreachable",
            "-A side -p icmp -j RETURN",
            "-A side -p tcp -m tcp --dport 8080 -j DROP",
        ],
    )?;
    must_say(
        &tool(&mut lab, "client", &["iptables-legacy", "-t", "nat", "-S"])?,
        &[
            "-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 203.0.113.9:8080",
            "-A POSTROUTING -o eth0 -j MASQUERADE",
        ],
    )?;
    must_say(
        &tool(&mut lab, "client", &["ip6tables-legacy", "-S"])?,
        &["-A OUTPUT -d 2001:db8:1::2/128 -p tcp -m tcp --dport 8080 -j DROP"],
    )
}

fn ip_reads_what_was_built() -> Result<String, LabError> {
    let mut lab = two_hosts()?;
    let node = lab.node("client")?;
    node.route_add(Route::to("198.51.100.0/24")?.via("203.0.113.9")?.metric(5).src("203.0.113.1")?)?;
    node.route_add(Route::to("192.0.2.0/25")?.kind("blackhole")?)?;
    node.route_add(Route::to("192.0.2.128/25")?.via("192.0.2.1")?.dev("eth0").onlink().mtu(1300))?;
    node.route_add(Route::to("0.0.0.0/0")?.via("203.0.113.9")?.table(100))?;
    let two =
        Route::to("198.18.0.0/15")?.hop(Some("203.0.113.8"), "eth0")?.hop(Some("203.0.113.9"), "eth0")?;
    node.route_add(two)?;
    node.rule_add(
        &Rule::lookup(500, 100).from("203.0.113.1/32")?.mark(7, 0xff).iif("lo").dport(80, 90).proto(6),
    )?;
    node.neigh_set("eth0", "203.0.113.9", "02:00:5e:00:53:01", "permanent")?;
    must_say(
        &tool(&mut lab, "client", &["ip", "route"])?,
        &[
            "198.51.100.0/24 via 203.0.113.9 dev eth0 proto static src 203.0.113.1 metric 5",
            "blackhole 192.0.2.0/25 proto static",
            "192.0.2.128/25 via 192.0.2.1 dev eth0 proto static onlink mtu 1300",
            "nexthop via 203.0.113.8 dev eth0 weight 1",
        ],
    )?;
    must_say(
        &tool(&mut lab, "client", &["ip", "rule"])?,
        &["500: from 203.0.113.1 fwmark 0x7/0xff iif lo ipproto tcp dport 80-90 lookup 100"],
    )?;
    must_say(
        &tool(&mut lab, "client", &["ip", "neigh", "show", "203.0.113.9"])?,
        &["203.0.113.9 dev eth0 lladdr 02:00:5e:00:53:01 PERMANENT"],
    )
}

pub(crate) fn all() -> impl Iterator<Item = Test> {
    let list: [(&str, Check); 3] = [
        ("oracle-nft", nft_reads_what_was_built),
        ("oracle-iptables", iptables_reads_what_was_built),
        ("oracle-ip", ip_reads_what_was_built),
    ];
    list.into_iter().map(|(name, test)| (name.to_owned(), Box::new(test) as _))
}
