//! `tc`: an HTB tree with leaves and filters, token buckets, queues of several kinds, clsact and ingress.

use crate::line::{Group, Line, State, manual, seed};
use crate::run::shell;

/// The lines of `tc(8)` and its companions.
pub(crate) fn group() -> Group {
    Group { name: "tc", state, normalise, lines: LINES.to_vec() }
}

fn state() -> Result<State, String> {
    shell(include_str!("tc.sh"))?;
    Ok(Box::new(()))
}

/// Seconds since an action was made or used.
fn normalise(text: &str) -> String {
    let mut before = "";
    let mut words = Vec::new();
    for word in text.split(' ') {
        let volatile = matches!(before, "installed" | "used") && word.parse::<u32>().is_ok();
        words.push(if volatile { "#" } else { word });
        before = word;
    }
    words.join(" ")
}

#[rustfmt::skip]
const LINES: &[Line] = &[
    seed("tc qdisc show dev eth0"), seed("tc filter show dev eth0"), seed("tc class show dev eth0"),
    seed("tc -s qdisc show dev eth0"), seed("tc -s class show dev eth0"),
    manual("tc qdisc"),
    manual("tc qdisc show"),
    manual("tc qdisc list"),
    manual("tc q"),
    manual("tc -d qdisc show dev eth0"),
    manual("tc -s qdisc"),
    manual("tc -s -d qdisc"),
    manual("tc -d qdisc"),
    manual("tc qdisc show root"),
    manual("tc qdisc show ingress"),
    manual("tc qdisc show clsact"),
    manual("tc qdisc list dev q0"),
    manual("tc -s qdisc show dev q0"),
    manual("tc -d qdisc show dev q0"),
    manual("tc qdisc show dev q1"),
    manual("tc qdisc show dev q2"),
    manual("tc -s qdisc show dev q2"),
    manual("tc qdisc show dev q3"),
    manual("tc qdisc show dev tun0"),
    manual("tc qdisc show dev lo"),
    manual("tc qdisc show dev nope"),
    manual("tc qdisc show invisible"),
    manual("tc qdisc show dev eth0 invisible"),
    manual("tc qdisc show dev eth0 handle 10:"),
    manual("tc qdisc show dev eth0 parent 1:20"),
    manual("tc -iec qdisc show dev eth0"),
    manual("tc -o qdisc show dev eth0"),
    manual("tc -nm qdisc show dev eth0"),
    manual("tc -t qdisc show"),
    manual("tc -j qdisc"),
    manual("tc -j -s qdisc show dev eth0"),
    manual("tc -j -p qdisc show dev eth0"),
    manual("tc -j -p -s qdisc show dev q0"),
    manual("tc -j qdisc show dev q2"),
    manual("tc -j -d qdisc show dev eth0"),
    manual("tc -d class show dev eth0"),
    manual("tc -s -d class show dev eth0"),
    manual("tc class show dev lo"),
    manual("tc class show"),
    manual("tc class show dev eth0 classid 1:10"),
    manual("tc class show dev eth0 parent 1:1"),
    manual("tc class show dev q2"),
    manual("tc -s class show dev q2"),
    manual("tc -iec class show dev eth0"),
    manual("tc c ls dev eth0"),
    manual("tc class show dev q0"),
    manual("tc -s filter show dev eth0"),
    manual("tc -d filter show dev eth0"),
    manual("tc filter show dev p0 ingress"),
    manual("tc -s filter show dev p0 ingress"),
    manual("tc filter show dev p0 egress"),
    manual("tc -s filter show dev p0 egress"),
    manual("tc filter show dev p1 ingress"),
    manual("tc filter show dev p1 parent ffff:"),
    manual("tc filter show dev p0"),
    manual("tc filter show"),
    manual("tc filter show dev eth0 parent 1:"),
    manual("tc filter show dev eth0 prio 2"),
    manual("tc filter show dev eth0 protocol ip"),
    manual("tc filter ls dev eth0 chain 0"),
    manual("tc -j filter show dev eth0"),
    manual("tc -j -p filter show dev p0 ingress"),
    manual("tc -j filter show dev p0 ingress"),
    manual("tc foo"),
    manual("tc qdisc foo"),
    manual("tc"),
    manual("tc -n nope qdisc"),
    manual("tc -r qdisc show dev eth0").refused("handles are shown as they are written"),
    manual("tc -g class show dev eth0").refused("classes are shown as a list"),
    manual("tc chain show dev p0 ingress").refused("chains are not listed"),
    manual("tc actions ls action gact").refused("actions are shown with their filters"),
    manual("tc qdisc add dev r0 root tbf rate 1mbit burst 32kbit latency 400ms").changes("tc -d qdisc show dev r0 | sed 's/tbf [0-9a-f]*:/tbf/'", "tc qdisc del dev r0 root"),
    manual("tc qdisc add dev r0 root handle 9: tbf rate 5mbit burst 10k limit 30k peakrate 10mbit mtu 1540").changes("tc -d qdisc show dev r0", "tc qdisc del dev r0 root"),
    manual("tc qdisc add dev r0 root handle 1: htb default 12").changes("tc -d qdisc show dev r0", "tc qdisc del dev r0 root"),
    manual("tc qdisc replace dev r0 root pfifo limit 10").changes("tc qdisc show dev r0 | sed 's/pfifo [0-9a-f]*:/pfifo/'", "tc qdisc del dev r0 root"),
    manual("tc qdisc add dev r0 root bfifo limit 9000").changes("tc qdisc show dev r0 | sed 's/bfifo [0-9a-f]*:/bfifo/'", "tc qdisc del dev r0 root"),
    manual("tc qdisc add dev r1 clsact").changes("tc qdisc show dev r1", "tc qdisc del dev r1 clsact"),
    manual("tc qdisc add dev r1 ingress").changes("tc qdisc show dev r1", "tc qdisc del dev r1 ingress"),
    manual("tc qdisc add dev r1 handle ffff: ingress").changes("tc qdisc show dev r1", "tc qdisc del dev r1 ingress"),
    manual("tc qdisc del dev q1 root").changes("tc qdisc show dev q1", "tc qdisc add dev q1 root handle 6: bfifo limit 20000"),
    manual("tc qdisc del dev p1 ingress").changes("tc qdisc show dev p1", "tc qdisc add dev p1 ingress"),
    manual("tc qdisc del dev r2 root").changes("true", "true"),
    manual("tc qdisc add dev r2 root nosuchqdisc").changes("true", "true"),
    manual("tc qdisc add dev r2 root fq_codel limit 2000 target 3ms interval 40ms noecn").changes("tc qdisc show dev r2 | sed 's/fq_codel [0-9a-f]*:/fq_codel/'", "tc qdisc del dev r2 root 2>/dev/null || true"),
    manual("tc qdisc add dev r2 root netem delay 100ms 10ms loss 1%").changes("tc qdisc show dev r2 | sed 's/netem [0-9a-f]*:/netem/'", "tc qdisc del dev r2 root 2>/dev/null || true"),
    manual("tc qdisc add dev r2 root prio bands 4").changes("tc qdisc show dev r2", "tc qdisc del dev r2 root 2>/dev/null || true"),
    manual("tc qdisc add dev r2 root fq").changes("tc qdisc show dev r2", "tc qdisc del dev r2 root 2>/dev/null || true"),
    manual("tc qdisc add dev nope root htb").changes("true", "true"),
    manual("tc class add dev eth0 parent 1:1 classid 1:40 htb rate 5mbit ceil 10mbit burst 20k cburst 30k prio 2").changes("tc -d class show dev eth0 classid 1:40", "tc class del dev eth0 classid 1:40"),
    manual("tc class add dev eth0 parent 1:1 classid 1:41 htb rate 5mbit quantum 1500").changes("tc -d class show dev eth0 classid 1:41", "tc class del dev eth0 classid 1:41"),
    manual("tc class change dev eth0 parent 1:1 classid 1:20 htb rate 20mbit ceil 70mbit quantum 3000").changes("tc -d class show dev eth0 classid 1:20", "tc class change dev eth0 parent 1:1 classid 1:20 htb rate 30mbit ceil 80mbit quantum 3000"),
    manual("tc class del dev eth0 classid 1:99").changes("true", "true"),
    manual("tc filter add dev eth0 parent 1: protocol ip prio 20 u32 match ip dst 192.0.2.0/24 flowid 1:20").changes("tc filter show dev eth0 prio 20 | sed 's/80[0-9]:/:/;s/ht 80[0-9]/ht/'", "tc filter del dev eth0 parent 1: prio 20"),
    manual("tc filter add dev eth0 parent 1: protocol ip prio 21 u32 match ip sport 53 0xffff match ip dport 99 0xffff classid 1:10").changes("tc filter show dev eth0 prio 21 | sed 's/80[0-9]:/:/;s/ht 80[0-9]/ht/'", "tc filter del dev eth0 parent 1: prio 21"),
    manual("tc filter add dev p0 egress protocol all prio 22 u32 match u32 0 0 action mirred egress redirect dev p1").changes("tc filter show dev p0 egress prio 22 | sed 's/index [0-9]*/index/;s/80[0-9]:/:/;s/ht 80[0-9]/ht/'", "tc filter del dev p0 egress prio 22"),
    manual("tc filter del dev eth0 parent 1: prio 10").changes("tc filter show dev eth0", "tc filter add dev eth0 parent 1: protocol ip prio 10 bpf bytecode '1,6 0 0 0' flowid 1:10"),
    manual("tc filter add dev eth0 parent 1: protocol ip prio 30 u32 match ip dport 80 0xffff flowid 1:10 action drop").changes("true", "tc filter del dev eth0 parent 1: prio 30 2>/dev/null || true"),
    manual("tc monitor").watching("tc qdisc add dev r3 root handle 3: htb; tc class add dev r3 parent 3: classid 3:1 htb rate 1mbit; tc qdisc del dev r3 root", "deleted"),
];
