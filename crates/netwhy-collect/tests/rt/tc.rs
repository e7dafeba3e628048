//! Traffic control, held against tc.

use netwhy_collect::Collector;
use netwhy_facts::tc::{Qdisc, Tc};
use netwhy_sys::bpf::ProgramType;
use serde_json::Value;

use crate::programs::{attach_filter, program};

use crate::space::{in_namespace, json, output, run, try_run, value, without_ipv6};

/// A cable. Without IPv6, which sends packets of its own accord.
fn device() {
    without_ipv6();
    run("ip link set lo up
         ip link add v0 type veth peer name v1
         ip link set v0 up
         ip link set v1 up");
}

fn read() -> (Tc, u32) {
    let collector = Collector::here().unwrap();
    let v0 = value(collector.links()).by_name("v0").unwrap().index;
    (value(collector.tc(Some(&[v0]))), v0)
}

/// `8001:` or `1:2a` packed as the kernel does.
fn handle(text: &str) -> u32 {
    let (major, minor) = text.split_once(':').unwrap();
    let number = |half: &str| if half.is_empty() { 0 } else { u32::from_str_radix(half, 16).unwrap() };
    number(major) << 16 | number(minor)
}

/// Compares the qdiscs of v0 with `tc -j -s qdisc`, statistics included.
fn compare(tc: &Tc) -> Vec<(Qdisc, Value)> {
    let oracle = json("tc -j -s qdisc show dev v0");
    assert_eq!(tc.qdiscs.len(), oracle.len());
    tc.qdiscs
        .iter()
        .map(|qdisc| {
            let theirs = oracle.iter().find(|one| handle(one["handle"].as_str().unwrap()) == qdisc.handle);
            let theirs = theirs.unwrap_or_else(|| panic!("no {:x}", qdisc.handle)).clone();
            assert_eq!(qdisc.kind, theirs["kind"].as_str().unwrap());
            assert_eq!(qdisc.parent == u32::MAX, theirs["root"] == true, "{}", qdisc.kind);
            if let Some(parent) = theirs["parent"].as_str().filter(|parent| parent.contains(':')) {
                assert_eq!(qdisc.parent, handle(parent), "{}", qdisc.kind);
            }
            let number = |key: &str| theirs[key].as_u64().unwrap();
            assert_eq!(qdisc.stats.bytes, number("bytes"), "{}", qdisc.kind);
            assert_eq!(qdisc.stats.packets, number("packets"), "{}", qdisc.kind);
            assert_eq!(qdisc.stats.drops, number("drops"), "{}", qdisc.kind);
            assert_eq!(qdisc.stats.overlimits, number("overlimits"), "{}", qdisc.kind);
            assert_eq!(u64::from(qdisc.stats.backlog_bytes), number("backlog"), "{}", qdisc.kind);
            assert_eq!(u64::from(qdisc.stats.qlen_packets), number("qlen"), "{}", qdisc.kind);
            (qdisc.clone(), theirs)
        })
        .collect()
}

fn number(qdisc: &Qdisc, name: &str) -> u64 {
    let text = qdisc.options.get(name).unwrap_or_else(|| panic!("{name}: {:?}", qdisc.options));
    text.parse().unwrap()
}

/// Sets a root qdisc and compares its numbers with those tc shows: ours, theirs.
fn qdisc(line: &str, pairs: &[(&str, &str)]) {
    if !try_run(&format!("tc qdisc replace dev v0 root handle 1: {line}")) {
        println!("skipped: {line}: not in this kernel");
        return;
    }
    let (tc, _) = read();
    let all = compare(&tc);
    let (ours, theirs) = all.iter().find(|(qdisc, _)| qdisc.handle == 0x1_0000).unwrap();
    for (our_name, their_name) in pairs {
        let theirs = &theirs["options"][their_name];
        let expected = theirs.as_u64().or_else(|| theirs.as_f64().map(|f| f as u64));
        let expected = expected.unwrap_or_else(|| panic!("{line}: tc shows no {their_name}: {theirs}"));
        assert_eq!(number(ours, our_name), expected, "{line}: {our_name}");
    }
    run("tc qdisc del dev v0 root");
}

#[test]
fn options_are_what_tc_shows() {
    in_namespace(&["ip", "tc"], || {
        device();
        qdisc("tbf rate 1mbit burst 32kbit limit 30000", &[("rate_bytes", "rate"), ("burst_bytes", "burst")]);
        qdisc("tbf rate 100gbit burst 10mb limit 20mb", &[("rate_bytes", "rate")]);
        qdisc(
            "fq_codel limit 1234 flows 64 quantum 300 target 7ms interval 120ms memory_limit 4Mb",
            &[
                ("limit_packets", "limit"),
                ("flows", "flows"),
                ("quantum_bytes", "quantum"),
                ("memory_limit_bytes", "memory_limit"),
                ("drop_batch", "drop_batch"),
            ],
        );
        qdisc(
            "fq limit 77 flow_limit 7 quantum 3000",
            &[("limit_packets", "limit"), ("flow_limit_packets", "flow_limit")],
        );
        qdisc("pfifo limit 9", &[("limit_packets", "limit")]);
        qdisc("bfifo limit 9000", &[("limit_bytes", "limit")]);
        qdisc("sfq limit 99 quantum 2000", &[("limit_packets", "limit"), ("quantum_bytes", "quantum")]);
        qdisc("codel limit 55", &[("limit_packets", "limit")]);
        qdisc("prio bands 4", &[("bands", "bands")]);
        qdisc("netem delay 20ms 3ms loss 2.5% duplicate 1% limit 88", &[("limit_packets", "limit")]);
        qdisc("cake bandwidth 1mbit", &[("bandwidth_bytes", "bandwidth")]);
    });
}

#[test]
fn bursts_come_out_as_they_went_in() {
    in_namespace(&["ip", "tc"], || {
        device();
        run("tc qdisc add dev v0 root tbf rate 1mbit burst 4000 limit 30000");
        let (tc, _) = read();
        let burst = number(&tc.qdiscs[0], "burst_bytes");
        assert!(burst.abs_diff(4000) <= 1, "{burst}");
    });
}

#[test]
fn a_tree_of_classes() {
    in_namespace(&["ip", "tc"], || {
        device();
        run("tc qdisc add dev v0 root handle 1: htb default 30 direct_qlen 500
             tc class add dev v0 parent 1: classid 1:1 htb rate 10mbit ceil 20mbit burst 15k
             tc class add dev v0 parent 1:1 classid 1:10 htb rate 1mbit ceil 2mbit prio 3 quantum 2000
             tc class add dev v0 parent 1:1 classid 1:30 htb rate 20gbit ceil 40gbit
             tc qdisc add dev v0 parent 1:10 handle 10: pfifo limit 5
             tc filter add dev v0 parent 1: protocol ip prio 7 u32 match ip dport 443 0xffff match ip protocol 6 0xff flowid 1:10
             ip addr add 198.51.100.1/24 dev v0
             ip neigh add 198.51.100.2 lladdr 02:00:00:00:00:02 dev v0 nud permanent");
        let socket = std::net::UdpSocket::bind("198.51.100.1:0").unwrap();
        for _ in 0..5 {
            socket.send_to(&[0; 100], "198.51.100.2:9").unwrap();
        }
        let (tc, v0) = read();
        let all = compare(&tc);
        let (htb, _) = all.iter().find(|(qdisc, _)| qdisc.kind == "htb").unwrap();
        assert_eq!(htb.options["default"], "0x30");
        assert_eq!(number(htb, "direct_qlen_packets"), 500);
        assert_eq!(tc.classes.len(), 3);
        assert!(tc.classes.iter().all(|class| class.ifindex == v0 && class.kind == "htb"));
        let class = |id| tc.classes.iter().find(|class| class.handle == id).unwrap();
        assert_eq!(class(0x1_0030).stats.packets, 5, "the default class took them");
        let shown = output("tc -s class show dev v0 classid 1:30");
        let bytes = class(0x1_0030).stats.bytes;
        assert!(shown.contains(&format!("Sent {bytes} bytes 5 pkt")), "{shown}");
        assert_eq!(class(0x1_0001).options["rate_bytes"], "1250000");
        assert_eq!(class(0x1_0001).options["ceil_bytes"], "2500000");
        assert_eq!(class(0x1_0001).options["burst_bytes"], "15360");
        assert_eq!(class(0x1_0010).parent, 0x1_0001);
        assert_eq!(class(0x1_0010).options["prio"], "3");
        assert_eq!(class(0x1_0030).options["rate_bytes"], "2500000000");
        let filter = &tc.filters[0];
        assert_eq!((filter.kind.as_str(), filter.pref, filter.protocol), ("u32", 7, 0x800));
        assert_eq!((filter.parent, filter.classid), (0x1_0000, Some(0x1_0010)));
        let keys = filter.u32_keys.clone().unwrap();
        assert_eq!(keys, [(20, 0xffff, 443), (8, 0x00ff_0000, 0x0006_0000)]);
        assert_eq!(tc.filters.len(), 1);
    });
}

#[test]
fn filters_and_actions_of_clsact() {
    in_namespace(&["ip", "tc"], || {
        device();
        run("tc qdisc add dev v0 clsact
             tc filter add dev v0 ingress pref 10 protocol ip u32 match ip src 198.51.100.0/24 match u8 64 0xff at 8");
        let (mut more, mut redirected) = (1, None);
        if try_run(
            "tc filter add dev v0 egress pref 20 protocol all u32 match u32 0 0 action mirred egress redirect dev v1",
        ) {
            more += 1;
            run("ip addr add 198.51.100.1/24 dev v0
                 ip neigh add 198.51.100.2 lladdr 02:00:00:00:00:02 dev v0 nud permanent");
            let socket = std::net::UdpSocket::bind("198.51.100.1:0").unwrap();
            for _ in 0..3 {
                socket.send_to(b"x", "198.51.100.2:9").unwrap();
            }
            redirected = Some(value(Collector::here().unwrap().links()).by_name("v1").unwrap().index);
        }
        for (line, check) in [
            (
                "tc filter add dev v0 ingress pref 30 protocol ip flower ip_proto tcp dst_port 22 src_ip 203.0.113.0/24",
                [("dst_port", "22"), ("ip_proto", "6"), ("src_ip", "203.0.113.0/255.255.255.0")].as_slice(),
            ),
            (
                "tc filter add dev v0 ingress pref 31 protocol ip handle 7 fw classid 1:1",
                &[("mark", "0x7/0xffffffff")],
            ),
            ("tc filter add dev v0 ingress pref 32 protocol all matchall classid 1:1", &[]),
        ] {
            if try_run(line) {
                more += 1;
                let (tc, _) = read();
                let filter = tc.filters.iter().max_by_key(|filter| filter.pref).unwrap();
                for (name, value) in check {
                    assert_eq!(filter.options[*name], *value, "{line}");
                }
                assert!(!filter.options.contains_key("unknown"), "{line}: {:?}", filter.options);
            }
        }
        let (tc, _) = read();
        compare(&tc);
        assert_eq!(tc.filters.len(), more, "heads and hash tables are left out: {:#?}", tc.filters);
        let filter = tc.filters.iter().find(|filter| filter.pref == 10).unwrap();
        assert_eq!(
            filter.u32_keys,
            Some(vec![(12, 0xffff_ff00, 0xc633_6400), (8, 0xff00_0000, 0x4000_0000)])
        );
        assert_eq!((filter.parent, filter.protocol), (0xffff_fff2, 0x800));
        if let Some(v1) = redirected {
            let filter = tc.filters.iter().find(|filter| filter.pref == 20).unwrap();
            assert_eq!((filter.parent, filter.protocol), (0xffff_fff3, 3));
            let action = &filter.actions[0];
            assert_eq!((action.kind.as_str(), action.control.as_str()), ("mirred", "redirect"));
            assert_eq!(
                (action.options["dev"].as_str(), action.options["direction"].as_str()),
                (&*v1.to_string(), "egress")
            );
            assert!(action.stats.packets >= 3, "{:?}", action.stats);
        }
    });
}

#[test]
fn a_bpf_filter_shows_its_program() {
    in_namespace(&["ip", "tc"], || {
        device();
        run("tc qdisc add dev v0 clsact");
        let collector = Collector::here().unwrap();
        let v0 = value(collector.links()).by_name("v0").unwrap().index;
        // mov r0, 2 (TC_ACT_SHOT); exit
        let Some(program) = program(ProgramType::SCHED_CLS, "shot", 2) else { return };
        attach_filter(v0, 0xffff_fff3, &program);
        let (tc, _) = read();
        let filter = &tc.filters[0];
        assert_eq!((filter.kind.as_str(), filter.parent), ("bpf", 0xffff_fff3));
        assert_eq!(filter.bpf, Some((program.info().unwrap().id, true)));
        assert_eq!(filter.options["name"], "by-test");
    });
}

#[test]
fn filters_of_a_shared_block_are_listed_once() {
    in_namespace(&["ip", "tc"], || {
        device();
        if !try_run("tc qdisc add dev v0 ingress_block 7 clsact") {
            println!("skipped: no shared blocks");
            return;
        }
        run("tc qdisc add dev v1 ingress_block 7 clsact
             tc filter add block 7 pref 3 protocol ip u32 match ip dport 1 0xffff");
        let tc = value(Collector::here().unwrap().tc(None));
        let shared: Vec<_> =
            tc.filters.iter().filter(|filter| filter.options.contains_key("block")).collect();
        assert_eq!(shared.len(), 1, "{:#?}", tc.filters);
        assert_eq!(shared[0].options["block"], "7");
        assert!(
            tc.qdiscs
                .iter()
                .filter(|qdisc| qdisc.kind == "clsact")
                .all(|q| q.options["ingress_block"] == "7")
        );
    });
}
