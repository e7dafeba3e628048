//! Expressions of pcap-filter(7) on packets of the running kernel.

mod common;

use std::net::UdpSocket;

use netwhy_bpf::session::Format;

/// Four datagrams over the loopback: three to one port, one to another, over IPv4; then two over IPv6.
fn send(to: u16, other: u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for port in [to, to, to, other] {
        socket.send_to(b"0123456789", ("127.0.0.1", port)).unwrap();
    }
    if let Ok(socket) = UdpSocket::bind("[::1]:0") {
        for _ in 0..2 {
            socket.send_to(b"0123456789", ("::1", to)).unwrap();
        }
    }
}

#[test]
fn a_filter_sees_the_packets_that_tcpdump_would_show() {
    let Some(kernel) = common::kernel() else { return };
    // Ports nobody else sends to: they stay bound here while it runs.
    let [to, other] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let [to, other] = [&to, &other].map(|s| s.local_addr().unwrap().port());
    let six = UdpSocket::bind("[::1]:0").is_ok();
    let expected = [
        (format!("udp dst port {to}"), if six { 5 } else { 3 }),
        (format!("ip and udp port {to}"), 3),
        (format!("ip6 and udp port {to}"), if six { 2 } else { 0 }),
        (format!("port {to} or {other}"), if six { 6 } else { 4 }),
        (format!("src port {to}"), 0),
        (format!("dst port {to} and host 127.0.0.1"), 3),
        (format!("dst port {to} and net 127.0.0.0/8 and not ip6"), 3),
        (format!("dst port {to} and net 10"), 0),
        (format!("dst port {to} and src host ::1"), if six { 2 } else { 0 }),
        (format!("tcp port {to}"), 0),
        (format!("ip and udp[2:2] = {other}"), 1),
        (format!("udp[4:2] = 18 and ip[9] = 17 and udp[2:2] = {to}"), 3),
        (format!("udp[8] = 0x30 and udp[(ip[0] & 0xf) * 4 - 3] = 0x39 and udp[2:2] = {to}"), 3),
        (format!("udp[200] = 0 and udp[2:2] = {to}"), 0),
        // Between two ports others may be in use: a range of one.
        (format!("udp dst portrange {to}-{to} and ip"), 3),
        (format!("udp[2:2] * 2 + 1 = {} and not (ip[8] < 1)", u32::from(to) * 2 + 1), 3),
    ];
    let counts: Vec<String> = (0..expected.len())
        .map(|i| format!("if (filter(args.skb, {:?})) {{ @c[{i}] += 1; }}", expected[i].0))
        .collect();
    // Each expression in a program of its own: more of them than one stack holds.
    let probes: Vec<String> =
        counts.iter().map(|count| format!("rawtracepoint:net_dev_queue {{ {count} }}")).collect();
    let bare = format!("rawtracepoint:net_dev_queue /filter \"ip and udp dst port {to}\"/ {{ @bare++; }}");
    let script = format!("{} {bare} interval:ms:200 {{ exit(); }}", probes.join("\n"));
    let ran = common::go(&kernel, &script, &Default::default(), Format::Text, || send(to, other));
    let ran = ran.unwrap_or_else(|error| panic!("{error}"));
    for (i, (expression, count)) in expected.iter().enumerate() {
        let line = ran.text.lines().find_map(|line| line.strip_prefix(&format!("@c[{i}]: ")));
        let found: u32 = line.map_or(0, |n| n.parse().unwrap());
        // Others may send from or to these ports by chance; what is asked for must be seen, what cannot be must not.
        assert_eq!(found, *count, "{expression}\n{}", ran.text);
    }
    assert!(ran.text.contains("@bare: 3\n"), "{}", ran.text);
}

#[test]
fn a_wrong_filter_is_shown_in_the_script() {
    let Some(kernel) = common::kernel() else { return };
    let script = r#"rawtracepoint:net_dev_queue /filter(args.skb, "tcp prot 80")/ { exit(); }"#;
    let error = common::go(&kernel, script, &Default::default(), Format::Text, || ()).err().unwrap();
    assert!(error.contains("`prot` is no keyword"), "{error}");
    let mark = error.lines().nth(2).unwrap();
    assert_eq!(script.get(mark.find('~').unwrap()..=mark.rfind('~').unwrap()), Some("prot"), "{error}");
    let none = r#"BEGIN { if (filter "tcp") { exit(); } }"#;
    let error = common::go(&kernel, none, &Default::default(), Format::Text, || ()).err().unwrap();
    assert!(error.contains("no packet of its own"), "{error}");
}
