//! Synthetic reports: one per kind of answer, and one per kind of object.
#![allow(dead_code, reason = "each test file uses its part")]

use netwhy_causes::report::{
    CauseOut, Confidence, Cost, Disagreement, HandOff, NotCheckable, Overall, QuestionOut, Report, RuledOut,
    SCHEMA, StageOut,
};
use netwhy_causes::{Evidence, Fix};
use netwhy_facts::{Locus, Proto};

pub(crate) fn question() -> QuestionOut {
    QuestionOut {
        scenario: "connect".into(),
        target: "db.internal:5432".into(),
        addresses: vec!["203.0.113.2:5432".into()],
        netns: "the host's namespace (4026531840)".into(),
        role: "client".into(),
        from: None,
        command: "netwhy connect db.internal:5432".into(),
        started: "2026-03-01T09:14:07Z".into(),
        duration_us: 3_041_233,
    }
}

fn cost() -> Cost {
    Cost { wall_us: 3_041_233, cpu_us: 38_412, rss_bytes: 17_900_000, packets_sent: 4, events: 0, lost: 0 }
}

/// A rule of this host drops the outgoing packets.
pub(crate) fn drop_outbound() -> Report {
    let locus = Locus::NftRule {
        family: "inet".into(),
        table: "filter".into(),
        chain: "output".into(),
        handle: 7,
        text: "ip daddr 203.0.113.0/24 counter drop".into(),
    };
    Report {
        schema: SCHEMA,
        question: question(),
        verdict: Overall::Problem,
        headline: "nft rule inet filter output handle 7 (ip daddr 203.0.113.0/24 counter drop) drops the packets this host sends to 203.0.113.2:5432".into(),
        causes: vec![CauseOut {
            id: "fw-drop-outbound".into(),
            title: "a firewall rule of this host drops the outgoing packet".into(),
            confidence: Confidence::Proven,
            summary: "nft rule inet filter output handle 7 (ip daddr 203.0.113.0/24 counter drop) drops the packets this host sends to 203.0.113.2:5432".into(),
            explains: vec![],
            flows: vec!["203.0.113.2:5432".into()],
            outside: false,
            evidence: vec![
                Evidence::new("attempt", "no answer from 203.0.113.2:5432 within 3000 ms", "tcp").value("timeout").window(3_000_412).command("nc -vz -w 3 203.0.113.2 5432"),
                Evidence::new("prediction:outgoing", "the outgoing path ends here: inet filter output: ip daddr 203.0.113.0/24 counter drop", "netwhy walk").command("nft -a list chain inet filter output"),
                Evidence::new("rule-counter", "the rule counted 3 packets in the window", "rule counter").value(3).window(3_012_000).command("nft -a list chain inet filter output"),
                Evidence::new("capture", "0 packets of the flow left this host, 0 answers and 0 resets arrived", "AF_PACKET").value(serde_json::json!({"requests_out": 0})).command("tcpdump -nni any host 203.0.113.2 and port 5432"),
                Evidence::new("counter:TcpExt.TCPRetransFail", "TCPRetransFail rose by 2", "/proc/net/netstat").value(2).window(3_012_000).command("nstat -az TcpExtTCPRetransFail"),
            ],
            fix: vec![
                Fix::run("let exactly this flow pass before the rule",
                    "nft insert rule inet filter output position 7 ip daddr 203.0.113.2 tcp dport 5432 accept comment \"netwhy\"",
                    "nft delete rule inet filter output handle $(nft -a list chain inet filter output | awk '/comment \"netwhy\"/{print $NF}')"),
                Fix::run("or remove the rule, if nobody wants it", "nft delete rule inet filter output handle 7", "nft add rule inet filter output ip daddr 203.0.113.0/24 counter drop")
                    .risk("the undo appends the rule at the end of the chain; look at its place first"),
            ],
            verify: "netwhy connect db.internal:5432".into(),
            locus,
        }],
        ruled_out: vec![
            RuledOut { id: "path-or-remote-drop".into(), because: "no packet of the flow left this host".into(), evidence: vec![] },
            RuledOut { id: "route-missing".into(), because: "the kernel routes 203.0.113.2 via 198.51.100.1 dev eth0".into(), evidence: vec![
                Evidence::new("fib", "the kernel's answer is 198.51.100.1 dev eth0", "RTM_GETROUTE").command("ip route get 203.0.113.2")] },
            RuledOut { id: "neigh-unresolved".into(), because: "198.51.100.1 is REACHABLE on eth0".into(), evidence: vec![] },
        ],
        not_checkable: vec![NotCheckable { what: "kernel drop events of the flow".into(), needs: "not supported here (no types of this kernel)".into(), privilege: false }],
        stages: vec![
            stage("forward", "routing", "198.51.100.1 dev eth0, source 198.51.100.7", "", false),
            stage("forward", "output", "inet filter output handle 7: ip daddr 203.0.113.0/24 counter drop: DROP", "0 left", false),
        ],
        disagreements: vec![],
        hand_off: None,
        cost: cost(),
    }
}

fn disagreement(direction: &str, predicted: &str, observed: &str, explained_by: &str) -> Disagreement {
    Disagreement {
        flow: "203.0.113.2:5432".into(),
        direction: direction.into(),
        predicted: predicted.into(),
        observed: observed.into(),
        source: "skb:kfree_skb".into(),
        explained_by: explained_by.into(),
    }
}

fn stage(direction: &str, stage: &str, predicted: &str, observed: &str, disagrees: bool) -> StageOut {
    StageOut {
        flow: "203.0.113.2:5432".into(),
        direction: direction.into(),
        stage: stage.into(),
        predicted: predicted.into(),
        observed: observed.into(),
        disagrees,
    }
}

pub(crate) fn healthy() -> Report {
    Report {
        verdict: Overall::Healthy,
        headline: "db.internal:5432 answers on all 2 addresses".into(),
        causes: vec![],
        ruled_out: vec![],
        not_checkable: vec![],
        stages: vec![],
        question: QuestionOut {
            addresses: vec!["203.0.113.2:5432".into(), "[2001:db8::2]:5432".into()],
            duration_us: 41_000,
            ..question()
        },
        cost: Cost { wall_us: 41_000, ..cost() },
        ..drop_outbound()
    }
}

/// An ordinary user could not look at the rules.
pub(crate) fn undetermined() -> Report {
    let denied = |what: &str| NotCheckable {
        what: what.into(),
        needs: "denied (needs CAP_NET_ADMIN)".into(),
        privilege: true,
    };
    Report {
        verdict: Overall::Undetermined,
        headline: "db.internal:5432: the cause could not be determined".into(),
        causes: vec![],
        not_checkable: vec![
            denied("nftables rules"),
            denied("legacy iptables rules"),
            denied("conntrack entries"),
            denied("IPsec policies"),
            NotCheckable {
                what: "packets of the flow".into(),
                needs: "denied (needs CAP_NET_RAW)".into(),
                privilege: true,
            },
        ],
        disagreements: vec![
            disagreement(
                "forward",
                "198.51.100.1 dev eth0: it passes",
                "the kernel freed 2 packets to 203.0.113.2:5432: QDISC_DROP at __dev_queue_xmit, eth0",
                "",
            ),
            disagreement(
                "reply",
                "delivered: it passes",
                "the kernel freed 1 packet of 203.0.113.2:5432: NETFILTER_DROP at nf_hook_slow, eth0",
                "conntrack-full",
            ),
        ],
        ..drop_outbound()
    }
}

pub(crate) fn outside() -> Report {
    let base = drop_outbound();
    let root = CauseOut {
        id: "path-or-remote-drop".into(),
        title: "the packet leaves this host and nothing comes back".into(),
        summary:
            "198.51.100.1 is the last hop that answers; beyond it the packets to 203.0.113.2:5432 disappear"
                .into(),
        locus: Locus::Hop {
            address: Some("198.51.100.1".parse().unwrap()),
            ttl: 1,
            detail: "last hop that answered".into(),
        },
        outside: true,
        evidence: vec![
            Evidence::new("attempt", "no answer from 203.0.113.2:5432 within 3000 ms", "tcp")
                .value("timeout")
                .window(3_000_000)
                .command("nc -vz -w 3 203.0.113.2 5432"),
            Evidence::new(
                "capture",
                "3 packets of the flow left this host, 0 answers and 0 resets arrived",
                "AF_PACKET",
            )
            .command("tcpdump -nni any host 203.0.113.2 and port 5432"),
            Evidence::new("path", "distance 1 answered, distances 2 to 8 are silent", "TTL-limited SYN")
                .command("mtr -n --tcp -P 5432 203.0.113.2"),
        ],
        fix: vec![Fix::act("give the text below to whoever runs 198.51.100.1 and the network behind it")],
        ..base.causes[0].clone()
    };
    Report {
        verdict: Overall::Outside,
        headline: root.summary.clone(),
        causes: vec![root],
        hand_off: Some(HandOff {
            last_good: "198.51.100.1, 1 hop away, 0.4 ms".into(),
            text: "TCP SYN 198.51.100.7:49152 -> 203.0.113.2:5432 at 2026-03-01T09:14:07Z, 3 times\nleft eth0 each time; no SYN-ACK, no RST, no ICMP came back within 3 s".into(),
        }),
        not_checkable: vec![],
        ..base
    }
}

/// Two roots at once, one of which brings about a third condition; a disagreement of prediction and observation.
pub(crate) fn two_causes() -> Report {
    let base = drop_outbound();
    let second = CauseOut {
        id: "fd-limit-process".into(),
        title: "the listening process is at its descriptor limit".into(),
        confidence: Confidence::Consistent,
        locus: Locus::Process {
            pid: 4711,
            process: "api".into(),
            detail: "1024 of 1024 descriptors open".into(),
        },
        summary: "api (pid 4711) has 1024 of 1024 descriptors open and cannot accept".into(),
        explains: vec!["accept-queue-full".into()],
        evidence: vec![
            Evidence::new("fds", "1024 descriptors open, soft limit 1024", "/proc/4711/limits")
                .value(1024)
                .command("grep files /proc/4711/limits"),
        ],
        fix: vec![Fix::run(
            "raise the limit of the running process",
            "prlimit --pid 4711 --nofile=65536:65536",
            "prlimit --pid 4711 --nofile=1024:65536",
        )],
        ..base.causes[0].clone()
    };
    let mut stages = base.stages.clone();
    stages.push(stage("reply", "input", "inet filter input: policy accept", "", false));
    stages.push(stage("reply", "conntrack", "inet filter output handle 7: DROP", "2 left", true));
    Report {
        causes: vec![base.causes[0].clone(), second],
        stages,
        question: QuestionOut {
            addresses: vec!["203.0.113.2:5432".into(), "[2001:db8::2]:5432".into()],
            ..question()
        },
        ..base
    }
}

/// Everything a stranger can influence tries to steer the terminal.
pub(crate) fn hostile() -> Report {
    let evil = "\x1b[2J\x1b]0;owned\x07\r\nHEALTHY \u{9b}1m\u{202e}lla si\u{200b}";
    let mut r = undetermined();
    r.question.target = format!("db{evil}:5432");
    r.question.netns = evil.into();
    r.question.from = Some(evil.into());
    r.headline = evil.into();
    for n in &mut r.not_checkable {
        n.what = evil.into();
    }
    for o in &mut r.ruled_out {
        o.because = evil.into();
    }
    let mut cause = drop_outbound().causes[0].clone();
    cause.locus = Locus::Process { pid: 1, process: evil.into(), detail: evil.into() };
    cause.confidence = Confidence::Consistent;
    cause.summary = evil.into();
    cause.title = evil.into();
    for e in &mut cause.evidence {
        e.statement = format!("TXT answer: {evil}");
        e.command = evil.into();
        e.value = evil.into();
        e.source = evil.into();
    }
    for f in &mut cause.fix {
        (f.text, f.command, f.undo, f.risk) = (evil.into(), evil.into(), evil.into(), evil.into());
    }
    cause.verify = evil.into();
    r.causes = vec![cause.clone(), cause];
    r.hand_off = Some(HandOff { last_good: evil.into(), text: evil.into() });
    for s in &mut r.stages {
        (s.predicted, s.observed) = (evil.into(), evil.into());
    }
    r
}

/// One object of every kind; a test holds the list against the type's source.
pub(crate) fn every_locus() -> Vec<Locus> {
    let s = |t: &str| t.to_string();
    let v4: std::net::IpAddr = "203.0.113.2".parse().unwrap();
    let v6: std::net::IpAddr = "2001:db8::2".parse().unwrap();
    vec![
        Locus::NftRule { family: s("inet"), table: s("t"), chain: s("c"), handle: 4, text: s("drop") },
        Locus::NftChain {
            family: s("ip"),
            table: s("t"),
            chain: s("c"),
            hook: s("input"),
            policy: s("drop"),
        },
        Locus::NftSet { family: s("ip"), table: s("t"), set: s("bad"), element: Some(s("203.0.113.2")) },
        Locus::NftSet { family: s("ip"), table: s("t"), set: s("bad"), element: None },
        Locus::IptRule {
            command: s("iptables"),
            table: s("filter"),
            chain: s("INPUT"),
            number: 3,
            text: s("-j DROP"),
        },
        Locus::IptChain {
            command: s("iptables"),
            table: s("filter"),
            chain: s("FORWARD"),
            policy: s("DROP"),
        },
        Locus::Ipset { set: s("blocked"), member: Some(s("203.0.113.2")) },
        Locus::Route {
            table: 254,
            dst: netwhy_facts::IpNet::new(v4, 24),
            dev: Some(s("eth0")),
            gateway: Some(v4),
            route_type: s("unicast"),
            metric: 100,
        },
        Locus::Route {
            table: 7,
            dst: netwhy_facts::IpNet::any(netwhy_facts::Family::Inet6),
            dev: None,
            gateway: None,
            route_type: s("blackhole"),
            metric: 0,
        },
        Locus::MissingRoute { table: 254, dst: v4 },
        Locus::Rule { family: 4, priority: 100, text: s("from all lookup 7") },
        Locus::Nexthop { id: 12 },
        Locus::Neighbour { dev: s("eth0"), address: v4, state: s("FAILED") },
        Locus::Link { dev: s("eth0"), index: 2 },
        Locus::Address { dev: s("eth0"), address: v6, prefix: 64 },
        Locus::MissingAddress { address: v4 },
        Locus::BridgePort { bridge: s("br0"), port: s("p1"), state: s("blocking") },
        Locus::Qdisc { dev: s("eth0"), handle: s("1:"), qdisc: s("tbf") },
        Locus::Filter { dev: s("eth0"), parent: s("ingress"), pref: 1, handle: s("0x1"), filter: s("u32") },
        Locus::Bpf { hook: s("xdp"), dev: Some(s("eth0")), prog_id: 31, name: s("fw") },
        Locus::Socket {
            proto: Proto::Tcp,
            local: s("127.0.0.1:8080"),
            remote: None,
            inode: 99,
            pid: Some(42),
            process: Some(s("api")),
        },
        Locus::MissingListener { proto: Proto::Tcp, address: v6, port: 80 },
        Locus::Process { pid: 42, process: s("api"), detail: s("stopped") },
        Locus::Sysctl { name: s("net.ipv4.ip_forward"), value: s("0") },
        Locus::Conntrack { detail: s("the table is full: 4096 of 4096") },
        Locus::Resolver { server: s("203.0.113.53"), source: s("/etc/resolv.conf") },
        Locus::DnsName { name: s("db.internal"), rcode: s("NXDOMAIN") },
        Locus::HostsEntry { file: s("/etc/hosts"), line: 3, name: s("db"), address: v4 },
        Locus::ConfigLine { file: s("/etc/nsswitch.conf"), line: 7, text: s("hosts: files") },
        Locus::Certificate { subject: s("CN=db"), issuer: s("CN=ca"), not_after: s("2026-01-01T00:00:00Z") },
        Locus::TlsEndpoint { address: s("203.0.113.2:443"), detail: s("speaks plain HTTP") },
        Locus::Xfrm { detail: s("no state for the policy") },
        Locus::Tunnel { dev: s("vxlan7"), detail: s("no remote for 203.0.113.2") },
        Locus::Hop { address: None, ttl: 4, detail: s("") },
        Locus::RemoteEndpoint { address: v6, port: 443, proto: Proto::Tcp },
        Locus::PortRange { low: 32768, high: 32999, dst: s("203.0.113.2:80") },
        Locus::SecurityPolicy { module: s("selinux"), detail: s("name_connect denied") },
        Locus::Host { detail: s("file-max reached") },
    ]
}

pub(crate) fn all() -> Vec<(&'static str, Report)> {
    vec![
        ("drop-outbound", drop_outbound()),
        ("healthy", healthy()),
        ("undetermined", undetermined()),
        ("outside", outside()),
        ("two-causes", two_causes()),
        ("hostile", hostile()),
    ]
}
