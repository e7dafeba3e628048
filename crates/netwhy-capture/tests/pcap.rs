//! Expressions of pcap-filter(7): what netwhy makes of them and what tcpdump makes of them hold for the same packets.

use std::process::Command;

use netwhy_capture::filter::{Instruction, expression};

/// `SKF_NET_OFF` and `SKF_AD_OFF + SKF_AD_PROTOCOL`.
const NET: u32 = -0x10_0000_i32 as u32;
const AD_PROTOCOL: u32 = -0x1000_i32 as u32;

/// Runs classic BPF over an Ethernet frame; offsets from `SKF_NET_OFF` on count behind its header.
fn run(program: &[Instruction], frame: &[u8]) -> bool {
    execute(program, frame).unwrap_or(0) != 0
}

fn execute(program: &[Instruction], frame: &[u8]) -> Option<u32> {
    let (mut a, mut x, mut pc) = (0_u32, 0_u32, 0_usize);
    let mut m = [0_u32; 16];
    let load = |k: u32, x: u32, size: usize| -> Option<u32> {
        if k == AD_PROTOCOL {
            return Some(u32::from(frame[12]) << 8 | u32::from(frame[13]));
        }
        let at = if k >= NET { u64::from(k - NET) + 14 } else { u64::from(k) } + u64::from(x);
        let at = usize::try_from(at).ok()?;
        let bytes = frame.get(at..at.checked_add(size)?)?;
        Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    };
    loop {
        let Instruction { code, jt, jf, k } = program[pc];
        pc += 1;
        let operand = if code & 8 != 0 { x } else { k };
        match code {
            0x20 => a = load(k, 0, 4)?,
            0x28 => a = load(k, 0, 2)?,
            0x30 => a = load(k, 0, 1)?,
            0x40 => a = load(k, x, 4)?,
            0x48 => a = load(k, x, 2)?,
            0x50 => a = load(k, x, 1)?,
            0x80 => a = frame.len() as u32,
            0x00 => a = k,
            0x01 => x = k,
            0x60 => a = m[k as usize],
            0x61 => x = m[k as usize],
            0xb1 => x = 4 * (load(k, 0, 1)? & 0xf),
            0x02 => m[k as usize] = a,
            0x03 => m[k as usize] = x,
            0x07 => x = a,
            0x87 => a = x,
            0x05 => pc += k as usize,
            0x06 => return Some(k),
            0x16 => return Some(a),
            _ if code & 7 == 5 => {
                let holds = match code & 0xf0 {
                    0x10 => a == operand,
                    0x20 => a > operand,
                    0x30 => a >= operand,
                    0x40 => a & operand != 0,
                    other => panic!("jump {other:#x}"),
                };
                pc += usize::from(if holds { jt } else { jf });
            }
            _ if code & 7 == 4 => {
                a = match code & 0xf0 {
                    0x00 => a.wrapping_add(operand),
                    0x10 => a.wrapping_sub(operand),
                    0x20 => a.wrapping_mul(operand),
                    0x30 => a.checked_div(operand)?,
                    0x40 => a | operand,
                    0x50 => a & operand,
                    0x60 => a.checked_shl(operand).unwrap_or(0),
                    0x70 => a.checked_shr(operand).unwrap_or(0),
                    0x80 => 0_u32.wrapping_sub(a),
                    0x90 => a.checked_rem(operand)?,
                    0xa0 => a ^ operand,
                    other => panic!("operation {other:#x}"),
                }
            }
            other => panic!("instruction {other:#x}"),
        }
    }
}

/// What tcpdump makes of an expression for Ethernet; `None` when tcpdump refuses it.
fn tcpdump(text: &str) -> Option<Vec<Instruction>> {
    let out = Command::new("tcpdump").args(["-y", "EN10MB", "-dd", text]).output().ok()?;
    let mut all = Vec::new();
    for line in String::from_utf8_lossy(&out.stdout).lines() {
        let mut numbers = line.trim_matches(|c| "{}, ".contains(c)).split(',').map(|n| {
            let n = n.trim();
            n.strip_prefix("0x").map_or_else(|| n.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())
        });
        let mut next = || numbers.next().flatten();
        let (code, jt, jf, k) = (next()?, next()?, next()?, next()?);
        all.push(Instruction { code: code as u16, jt: jt as u8, jf: jf as u8, k });
    }
    (!all.is_empty()).then_some(all)
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 32)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

const PROTOCOLS: [u8; 8] = [1, 2, 6, 17, 58, 44, 132, 47];
const PORTS: [u16; 6] = [22, 53, 80, 443, 1000, 65535];
const WORDS: [u32; 5] = [0x0a00_0001, 0x0a01_0203, 0xc633_6407, 0xcb00_7105, 0x7f00_0001];

/// A frame that looks like something most of the time, long enough that nothing is read beyond its end.
fn frame(random: &mut Random) -> Vec<u8> {
    let length = 200 + random.below(200);
    let mut frame: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
    let mut put = |at: usize, bytes: &[u8]| frame[at..at + bytes.len()].copy_from_slice(bytes);
    let ethertype = random.of(&[0x0800_u16, 0x0800, 0x0800, 0x86dd, 0x86dd, 0x0806, 0x8035, 0x1234]);
    put(12, &ethertype.to_be_bytes());
    let (addresses, transport) = match ethertype {
        0x0800 => {
            let header = random.of(&[5_u8, 5, 5, 6, 15]);
            put(14, &[0x40 | header]);
            put(20, &random.of(&[0_u16, 0, 0, 0x4000, 0x2000, 7]).to_be_bytes());
            put(23, &[random.of(&PROTOCOLS)]);
            (Some([26, 30]), 14 + usize::from(header) * 4)
        }
        0x86dd => {
            put(14, &[0x60]);
            put(20, &[random.of(&PROTOCOLS)]);
            for at in [22, 38] {
                if random.below(3) > 0 {
                    put(at, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
                }
            }
            (None, 54)
        }
        _ => (Some([28, 38]), 60),
    };
    for at in addresses.into_iter().flatten() {
        put(at, &random.of(&WORDS).to_be_bytes());
    }
    for at in [transport, transport + 2] {
        put(at, &random.of(&PORTS).to_be_bytes());
    }
    put(transport + 12, &[random.of(&[0x50, 0x80]), random.of(&[0x02, 0x10, 0x12, 0x11, 0x04])]);
    if random.below(2) == 0 {
        put(transport, &[random.of(&[0, 3, 8, 11, 6, 17, 58, 128])]);
    }
    frame
}

/// A random expression in the syntax both understand.
fn phrase(random: &mut Random, depth: u32) -> String {
    if depth > 0 && random.below(2) == 0 {
        let (a, b) = (phrase(random, depth - 1), phrase(random, depth - 1));
        return match random.below(5) {
            0 => format!("not ({a})"),
            1 => format!("{a} and {b}"),
            2 => format!("{a} or {b}"),
            3 => format!("({a}) and not ({b})"),
            _ => format!("({a} || {b}) && {}", phrase(random, 0)),
        };
    }
    let dir = random.of(&["", "", "src ", "dst ", "src or dst ", "src and dst "]);
    match random.below(16) {
        0 => random.of(&["ip", "ip6", "arp", "rarp"]).into(),
        1 => random.of(&["tcp", "udp", "icmp", "icmp6", "igmp", "sctp", "esp", "vrrp"]).into(),
        2 | 3 => format!("{}{dir}port {}", random.of(&["", "tcp ", "udp ", "sctp "]), random.of(&PORTS)),
        4 => {
            let (a, b) = (random.of(&PORTS), random.of(&PORTS));
            format!("{dir}portrange {}-{}", a.min(b), a.max(b))
        }
        5 | 6 => {
            let host = std::net::Ipv4Addr::from(random.of(&WORDS));
            format!("{}{dir}host {host}", random.of(&["", "ip ", "arp "]))
        }
        7 => format!("{dir}net {}", random.of(&["10.0.0.0/8", "10.1", "198.51.100.0/24", "0.0.0.0/0"])),
        8 => format!("{dir}host 2001:db8::7"),
        9 => format!("{dir}net 2001:db8::/{}", random.of(&[32, 48, 127])),
        10 => format!("{}proto {}", random.of(&["ip ", "ip6 ", ""]), random.of(&PROTOCOLS)),
        11 => format!("net 10.0.0.0 mask 255.{}.0.0", random.of(&[0, 128])),
        12 => {
            let forms = ["tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn", "tcp[13] & 2 != 0", "tcp[13]=0x12"];
            random.of(&forms).into()
        }
        13 => {
            let forms = [
                "icmp[icmptype] = icmp-echo",
                "icmp6[icmp6type] = icmp6-echo",
                "ip[8] > 64",
                "ip[6:2] & 0x1fff = 0",
                "ip6[6] = 6",
                "ip[0] & 0xf != 5",
            ];
            random.of(&forms).into()
        }
        14 => {
            let forms = [
                "tcp[(tcp[12]>>4)*4] < 128",
                "udp[0:2] + udp[2:2] > 1000",
                // Of the operands of `-`, libpcap asks only the first one whether its header is there.
                "(tcp and ip[6:2]&0x1fff=0 and ip[2:2] - ((ip[0]&0xf)<<2) - ((tcp[12]&0xf0)>>2) != 0)",
                "ip[12:4] = 0x0a000001",
                "ip[1] % 3 = 1 or ip[1] / 7 = 2",
                "ip[1] ^ 0x55 | 1 > ip[8]",
            ];
            random.of(&forms).into()
        }
        _ => format!("{} {}", random.of(&["less", "greater"]), 250 + random.below(100)),
    }
}

#[test]
fn expressions_hold_for_the_same_packets_as_tcpdumps() {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        eprintln!("skipped: tcpdump is not installed");
        return;
    }
    let mut random = Random(7);
    let (mut compared, mut held) = (0, 0);
    for _ in 0..150 {
        let text = phrase(&mut random, 3);
        // libpcap refuses what can never hold; there is nothing to compare then.
        let Some(theirs) = tcpdump(&text) else { continue };
        let ours = expression(&text, 0x4_0000).unwrap_or_else(|error| panic!("{text}: {error}"));
        for _ in 0..300 {
            let frame = frame(&mut random);
            let (a, b) = (run(&ours, &frame), run(&theirs, &frame));
            assert_eq!(a, b, "{text}: netwhy says {a}, tcpdump {b}, of {frame:02x?}");
            compared += 1;
            held += u32::from(a);
        }
    }
    assert!(compared > 20_000, "only {compared} comparisons");
    assert!(held > compared / 20, "only {held} of {compared} held: the packets are too strange");
}

#[test]
fn what_cannot_be_asked_is_refused_with_a_reason() {
    for (text, says) in [
        ("vlan 5", "not supported"),
        ("host example.com", "not resolved"),
        ("port 70000", "0 to 65535"),
        ("tcp host 10.0.0.1", "ports, not addresses"),
        ("ip host ::1", "IPv6"),
        ("net 10.0.0.1/8", "beyond the prefix"),
        ("tcp[0:3] = 1", "1, 2 or 4"),
        ("(tcp", "expected `)`"),
        ("tcp)", "never opened"),
        ("tcp[0] / 0 = 1", "division by zero"),
        ("tcp and", "expected"),
        ("\u{1}", "no meaning"),
    ] {
        let error = expression(text, 1).expect_err(text);
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
}

#[test]
fn the_qualifiers_of_an_identifier_carry_over() {
    for (short, long) in [
        ("port 80 or 443", "port 80 or port 443"),
        (
            "tcp src port 80 or 443 and not 22",
            "(tcp src port 80 or tcp src port 443) and not tcp src port 22",
        ),
        ("src host 10.0.0.1 or 10.1.2.3", "src host 10.0.0.1 or src host 10.1.2.3"),
        ("10.0.0.1", "host 10.0.0.1"),
        ("dst 10.0.0.0/8", "dst net 10.0.0.0/8"),
        ("port domain", "port 53"),
        ("ip proto \\tcp", "ip proto 6"),
        ("!tcp", "not tcp"),
    ] {
        assert_eq!(expression(short, 9).expect(short), expression(long, 9).expect(long), "{short}");
    }
}

#[test]
fn any_text_gives_a_program_or_an_error() {
    let words = [
        "tcp",
        "port",
        "80",
        "and",
        "or",
        "not",
        "(",
        ")",
        "[",
        "]",
        ":",
        "host",
        "10.0.0.1",
        "::1",
        "net",
        "/",
        "8",
        "&",
        "<<",
        "=",
        "len",
        "ip6",
        "src",
        "1.2",
        "-",
        "tcp-syn",
        "portrange",
        "é",
        "0x",
        "99999999999",
        "\\",
    ];
    let mut random = Random(11);
    let mut good = 0;
    for _ in 0..20_000 {
        let n = 1 + random.below(12);
        let text = (0..n).map(|_| random.of(&words)).collect::<Vec<_>>().join(random.of(&[" ", "", " "]));
        good += u32::from(expression(&text, 1).is_ok());
    }
    assert!(good > 100, "only {good} of the texts were expressions");
    let deep = "(".repeat(5000) + "tcp";
    assert!(expression(&deep, 1).is_err());
    let long = vec!["host 10.0.0.1"; 2000].join(" or ");
    assert!(expression(&long, 1).is_err(), "more than the kernel takes");
}
