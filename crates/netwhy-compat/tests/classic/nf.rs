//! `conntrack`, `nft`, `iptables` of both back ends: a table of every protocol, a ruleset of every expression,
//! rules of every common match.

use crate::line::{Group, Line, State, manual, seed};
use crate::run::shell;

/// The lines of `conntrack(8)`.
pub(crate) fn conntrack() -> Group {
    Group {
        name: "conntrack",
        state: || state(include_str!("conntrack.sh")),
        normalise,
        lines: CONNTRACK.to_vec(),
    }
}

/// The lines of `nft(8)`.
pub(crate) fn nft() -> Group {
    Group { name: "nft", state: || state(include_str!("nft.sh")), normalise, lines: NFT.to_vec() }
}

/// The lines of `iptables(8)` and its companions.
pub(crate) fn iptables() -> Group {
    Group {
        name: "iptables",
        state: || state(include_str!("iptables.sh")),
        normalise,
        lines: IPTABLES.to_vec(),
    }
}

fn state(script: &str) -> Result<State, String> {
    shell(script)?;
    Ok(Box::new(()))
}

/// Time that passes: seconds left of an entry, references that a listing itself holds, dates, ports of programs.
fn normalise(text: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        for word in &mut words {
            for key in ["delta-time=", "use=", "portid=", "[start="] {
                if word.starts_with(key) {
                    *word = format!("{key}#{}", if word.ends_with('\n') { "\n" } else { "" });
                }
            }
        }
        let tracked = ["udp", "tcp", "icmp", "icmpv6", "sctp", "gre", "udplite", "unknown", "ipv4", "ipv6"];
        if words.iter().any(|word| tracked.contains(&word.as_str())) && line.contains("src=") {
            // The number before the state or the addresses.
            let at = words.iter().position(|word| word.starts_with("src="));
            let before = at.unwrap_or(0).saturating_sub(2)..at.unwrap_or(0);
            for word in words.get_mut(before).unwrap_or(&mut []) {
                if word.parse::<u32>().is_ok() {
                    *word = "#".to_owned();
                }
            }
        }
        for at in 1..words.len() {
            let timed = matches!(words.get(at - 1).map(String::as_str), Some("-t" | "expires"));
            let digits =
                words.get(at).is_some_and(|word| word.starts_with(|letter: char| letter.is_ascii_digit()));
            if let (true, true, Some(word)) = (timed, digits, words.get_mut(at)) {
                let tail: String = word.chars().skip_while(char::is_ascii_alphanumeric).collect();
                *word = format!("#{tail}");
            }
        }
        let mut line = words.join(" ");
        for tag in ["timeout", "deltatime", "id", "use", "when"] {
            line = hidden(&line, &format!("<{tag}>"), &format!("</{tag}>"));
        }
        if let Some((head, _)) = line.split_once(" on ").filter(|(head, _)| head.starts_with("# ")) {
            line = format!("{head} on #\n");
        }
        out.push_str(&line);
    }
    out
}

/// The text with what stands between two marks hidden.
fn hidden(text: &str, from: &str, to: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once(from) {
        out.push_str(head);
        out.push_str(from);
        rest = match tail.split_once(to) {
            Some((_, behind)) => {
                out.push('#');
                out.push_str(to);
                behind
            }
            None => tail,
        };
    }
    out + rest
}

/// XML of SCTP entries: the original looks their state up among those of TCP.
fn but_for_sctp_state(real: &str, ours: &str) -> bool {
    let lines = |text: &str| -> Vec<String> {
        let mut all: Vec<String> = text
            .lines()
            .map(|line| {
                if line.contains("\"sctp\"") { hidden(line, "<state>", "</state>") } else { line.to_owned() }
            })
            .collect();
        all.sort();
        all
    };
    lines(real) == lines(ours)
}

const HASH: &str = "the kernel lists in the order of its hash, which changes as entries come and go";
const KEYS: &str = "the same JSON; keys stand in another order";

#[rustfmt::skip]
const CONNTRACK: &[Line] = &[
    seed("conntrack -L").sorted(HASH), seed("conntrack -C"), seed("conntrack -S"),
    seed("conntrack -L -p tcp").sorted(HASH), seed("conntrack -L -d 192.168.1.100"),
    seed("conntrack -L | grep 192.0.2.1").sorted(HASH),
    seed("conntrack -D -p tcp --orig-port-dst 80 -d 192.168.1.100"),
    manual("conntrack -L -o extended").sorted(HASH),
    manual("conntrack -L -o id,extended,timestamp,ktimestamp").sorted(HASH),
    manual("conntrack -L -o save").sorted(HASH),
    manual("conntrack -L -o xml").by(but_for_sctp_state, "the original writes SCTP states by TCP's names"),
    manual("conntrack -L -o xml,ktimestamp").by(but_for_sctp_state, "the original writes SCTP states by TCP's names"),
    manual("conntrack -L -f ipv6 -o extended").sorted(HASH), manual("conntrack -L -f ipv4").sorted(HASH),
    manual("conntrack -L --src-nat"), manual("conntrack -L -n"), manual("conntrack -L -g"),
    manual("conntrack -L -j").sorted(HASH), manual("conntrack -L -g 203.0.113.9"), manual("conntrack -L -n 203.0.113.9"),
    manual("conntrack -L -p tcp --state ESTABLISHED").sorted(HASH), manual("conntrack -L -p tcp --dport 80").sorted(HASH),
    manual("conntrack -L -p tcp --orig-port-dst 80 -s 192.0.2.1").sorted(HASH),
    manual("conntrack -L -p tcp --reply-port-src 80").sorted(HASH),
    manual("conntrack -L -p tcp --reply-port-dst 1001 -f ipv4").sorted(HASH),
    manual("conntrack -L -s 192.0.2.0/24").sorted(HASH),
    manual("conntrack -L -s 192.0.2.7 --mask-src 255.255.255.0").sorted(HASH),
    manual("conntrack -L -r 198.51.100.2").sorted(HASH), manual("conntrack -L -q 203.0.113.1"),
    manual("conntrack -L -m 5"), manual("conntrack -L -m 1/1"), manual("conntrack -L -m 0").sorted(HASH),
    manual("conntrack -L -u ASSURED").sorted(HASH), manual("conntrack -L -u SEEN_REPLY,ASSURED").sorted(HASH),
    manual("conntrack -L -w 7"), manual("conntrack -L -p icmp"), manual("conntrack -L -p icmp --icmp-type 8"),
    manual("conntrack -L -p icmp --icmp-id 77"), manual("conntrack -L -p icmpv6"),
    manual("conntrack -L -p udp").sorted(HASH), manual("conntrack -L -p sctp"),
    manual("conntrack -L -p sctp --state ESTABLISHED"), manual("conntrack -L -p gre"),
    manual("conntrack -L -p gre --srckey 1"), manual("conntrack -L -p 89"),
    manual("conntrack -L -s 2001:db8::1").sorted(HASH), manual("conntrack -L -s 2001:db8::/32 -p tcp"),
    manual("conntrack -L -d 2001:db8::2 -p tcp --dport 80"), manual("conntrack -L conntrack").sorted(HASH),
    manual("conntrack -L expect"), manual("conntrack -L dying"), manual("conntrack -L unconfirmed"),
    manual("conntrack -C expect"), manual("conntrack -C conntrack"),
    manual("conntrack -G -p tcp -s 192.0.2.1 -d 198.51.100.2 --sport 1000 --dport 80"),
    manual("conntrack -G -p tcp -s 192.0.2.1 -d 198.51.100.2 --sport 1000 --dport 81"),
    manual("conntrack -G -p icmp -s 192.0.2.1 -d 198.51.100.2 --icmp-type 8 --icmp-code 0 --icmp-id 77"),
    manual("conntrack -L -p tcp -s 192.0.2.1 -d 198.51.100.2 --sport 1000 --dport 80"),
    manual("conntrack -L foo"), manual("conntrack -Q"), manual("conntrack -L -C"), manual("conntrack -L -p foo"),
    manual("conntrack -L -e NEW"), manual("conntrack -S -o id"), manual("conntrack -L -t 5"),
    manual("conntrack -L -o foo"), manual("conntrack -V"), manual("conntrack --dump --proto tcp --src 192.0.2.1").sorted(HASH),
    manual("conntrack --count"), manual("conntrack --stats"), manual("conntrack -L --orig-zone 5"),
    manual("conntrack -D -s 9.9.9.9"), manual("conntrack -U -s 9.9.9.9 -m 1"),
    manual("conntrack -L -l foo").refused("labels are shown as numbers, not filtered by"),
    manual("conntrack -D -s 192.0.2.3").changes("conntrack -L -s 192.0.2.3 2>/dev/null",
        "conntrack -I -p tcp -s 192.0.2.3 -d 198.51.100.2 --sport 1001 --dport 80 --state TIME_WAIT --timeout 1000 --status ASSURED,SEEN_REPLY -w 7"),
    manual("conntrack -U -s 192.0.2.1 -p udp --dport 5353 -m 9").changes("conntrack -L -m 9 2>/dev/null", "conntrack -U -s 192.0.2.1 -p udp --dport 5353 -m 0"),
    manual("conntrack -I -p tcp -s 192.0.2.77 -d 198.51.100.2 --sport 5 --dport 6 --state ESTABLISHED --timeout 100")
        .changes("conntrack -L -s 192.0.2.77 2>/dev/null", "conntrack -D -s 192.0.2.77"),
    manual("conntrack -E -p tcp").watching(
        "conntrack -I -p tcp -s 192.0.2.50 -d 198.51.100.2 --sport 7 --dport 8 --state ESTABLISHED --timeout 100; conntrack -D -s 192.0.2.50", "DESTROY"),
];

#[rustfmt::skip]
const NFT: &[Line] = &[
    seed("nft list ruleset"),
    seed("nft add rule ip filter input tcp dport 80 meta nftrace set 1").changes("nft list chain ip filter input", "nft flush chain ip filter input"),
    seed("nft add rule ip filter input ip saddr 192.168.1.100 tcp dport 80 limit rate 1/minute meta nftrace set 1").changes("nft list chain ip filter input", "nft flush chain ip filter input"),
    manual("nft -a list ruleset"), manual("nft -n list ruleset"), manual("nft -nn list ruleset"), manual("nft -s list ruleset"),
    manual("nft -t list ruleset"), manual("nft -y list ruleset"), manual("nft -p list ruleset"), manual("nft -u list ruleset"),
    manual("nft -S list ruleset"), manual("nft -an list ruleset"), manual("nft list ruleset ip"), manual("nft list ruleset inet"),
    manual("nft list tables"), manual("nft list tables inet"), manual("nft -a list tables"), manual("nft list table inet filter"),
    manual("nft -a list table inet filter"), manual("nft list table ip nat"), manual("nft list table ip6 nat6"),
    manual("nft list table bridge br"), manual("nft list table arp ar"), manual("nft list table netdev nd"),
    manual("nft list table inet dorm"), manual("nft list table inet nope"), manual("nft list chains"), manual("nft list chains inet"),
    manual("nft -a list chains"), manual("nft list chain inet filter input"), manual("nft -a list chain inet filter input"),
    manual("nft list chain inet filter sub"), manual("nft list chain inet filter nope"), manual("nft list chain ip nat pre"),
    manual("nft list chain ip nat post"), manual("nft list chain inet natx mangle"), manual("nft list sets"), manual("nft list sets inet"),
    manual("nft list set inet filter s1"), manual("nft list set inet filter s2"), manual("nft -a list set inet filter s4"),
    manual("nft list set inet filter s5"), manual("nft list set inet filter s7"), manual("nft list set inet filter s8"),
    manual("nft list set inet filter s11"), manual("nft list set inet filter nope"), manual("nft list maps"),
    manual("nft list map inet filter m1"), manual("nft list map inet filter m4"), manual("nft list map inet filter m5"),
    manual("nft list counters"), manual("nft list counter inet filter cnt1"), manual("nft list quotas"), manual("nft list quota inet filter q1"),
    manual("nft list limits"), manual("nft list limit inet filter l1"), manual("nft list flowtables"), manual("nft list ct helper inet filter ftp-std"),
    manual("nft list foo"), manual("nft list set inet t a"), manual("nft list table inet t2"), manual("nft list table inet t"),
    manual("nft -j list ruleset inet t2").json(KEYS), manual("nft -j list tables ip").json(KEYS), manual("nft -j list chains inet").json(KEYS),
    manual("nft -j list table inet t2").json(KEYS), manual("nft -j list table ip nat").json(KEYS), manual("nft -j list chain inet filter input").json(KEYS),
    manual("nft -j list set inet filter s2").json(KEYS), manual("nft -j list counters").json(KEYS), manual("nft -j list map inet filter m1").json(KEYS),
    manual("nft --version"), manual("nft -v"), manual("nft list hooks").refused("netwhy walk shows what hooks do"),
    manual("nft -N list ruleset").refused("it would ask name servers"),
    manual("nft add table inet extra").changes("nft list tables", "nft delete table inet extra"),
    manual("nft add chain inet filter extra").changes("nft list chains inet", "nft delete chain inet filter extra"),
    manual("nft 'add chain inet filter extra { type filter hook output priority filter + 3; policy drop; }'").changes("nft list chains inet", "nft delete chain inet filter extra"),
    manual("nft insert rule inet filter sub ip saddr 192.0.2.0/24 counter drop").changes("nft list chain inet filter sub", "nft delete rule inet filter sub handle $(nft -a list chain inet filter sub | sed -n 's/.*192.0.2.0.24.*handle //p')"),
    manual("nft 'add rule inet t2 withcomment tcp dport { 22, 80-90 } accept'").changes("nft list chain inet t2 withcomment", "nft flush chain inet t2 withcomment"),
    manual("nft 'add rule inet t2 withcomment ct state established,related accept'").changes("nft list chain inet t2 withcomment", "nft flush chain inet t2 withcomment"),
    manual("nft 'add rule inet t2 withcomment udp dport 53 log prefix \"dns: \" accept'").changes("nft list chain inet t2 withcomment", "nft flush chain inet t2 withcomment"),
    manual("nft add rule inet t2 withcomment icmp type echo-request reject").changes("nft list chain inet t2 withcomment", "nft flush chain inet t2 withcomment"),
    manual("nft 'add element inet filter s1 { 198.51.100.77 }'").changes("nft list set inet filter s1", "nft 'delete element inet filter s1 { 198.51.100.77 }'"),
    manual("nft 'delete element inet filter s1 { 192.0.2.7 }'").changes("nft list set inet filter s1", "nft 'add element inet filter s1 { 192.0.2.7 }'"),
    manual("nft 'add element inet filter s2 { 100.64.0.0/10 }'").changes("nft list set inet filter s2", "nft 'delete element inet filter s2 { 100.64.0.0/10 }'"),
    manual("nft 'add set inet filter extra { type ipv4_addr; flags interval; }'").changes("nft list set inet filter extra", "nft delete set inet filter extra"),
    manual("nft add counter inet filter extra").changes("nft list counters", "nft delete counter inet filter extra"),
    manual("nft flush chain inet natx pre").changes("nft list chain inet natx pre", "nft add rule inet natx pre dnat ip6 to 2001:db8::1"),
    manual("nft add rule inet nope input accept"), manual("nft delete table inet nope"),
];

#[rustfmt::skip]
const IPTABLES: &[Line] = &[
    seed("iptables -L -n -v"), seed("iptables -L -v -n | grep DROP"),
    manual("iptables -L"), manual("iptables -S"), manual("iptables -L INPUT"), manual("iptables -t nat -L -n"), manual("iptables-save"),
    manual("ip6tables -L -n"), manual("ip6tables -S"), manual("ip6tables-save"), manual("iptables -V"), manual("iptables --version"),
    manual("iptables-nft -S"), manual("iptables-nft -L"), manual("iptables-nft -L -n"), manual("iptables-nft -L -n -v"), manual("iptables-nft -L -v"),
    manual("iptables-nft -L -v -n -x --line-numbers"), manual("iptables-nft -t nat -L -n -v"), manual("iptables-nft -t nat -S"),
    manual("iptables-nft -t mangle -S"), manual("iptables-nft -t mangle -L -n"), manual("iptables-nft -t raw -S"),
    manual("iptables-nft -t raw -L -v -n"), manual("iptables-nft -S INPUT"), manual("iptables-nft -S INPUT 3"), manual("iptables-nft -L INPUT 3"),
    manual("iptables-nft -L INPUT --line-numbers"), manual("iptables-nft -L FOO"), manual("iptables-nft -t foo -L"), manual("iptables-nft -S -v"),
    manual("iptables-nft-save"), manual("iptables-nft-save -c"), manual("iptables-nft-save -t nat"), manual("iptables-nft -t security -L"),
    manual("ip6tables-nft -L -n -v"), manual("ip6tables-nft -L"), manual("ip6tables-nft -S"), manual("ip6tables-nft-save"),
    manual("iptables-legacy -S"), manual("iptables-legacy -L"), manual("iptables-legacy -L -n"), manual("iptables-legacy -L -n -v"), manual("iptables-legacy -L -v"),
    manual("iptables-legacy -L -v -n -x --line-numbers"), manual("iptables-legacy -t nat -L -n -v"), manual("iptables-legacy -t nat -S"),
    manual("iptables-legacy -t mangle -S"), manual("iptables-legacy -t mangle -L -n"), manual("iptables-legacy -t raw -S"),
    manual("iptables-legacy -t raw -L -v -n"), manual("iptables-legacy -S INPUT"), manual("iptables-legacy -S INPUT 3"), manual("iptables-legacy -L INPUT 3"),
    manual("iptables-legacy -L INPUT --line-numbers"), manual("iptables-legacy -L FOO"), manual("iptables-legacy -t foo -L"), manual("iptables-legacy -S -v"),
    manual("iptables-legacy-save"), manual("iptables-legacy-save -c"), manual("iptables-legacy-save -t nat"),
    manual("ip6tables-legacy -L -n -v"), manual("ip6tables-legacy -L"), manual("ip6tables-legacy -S"), manual("ip6tables-legacy-save"),
    manual("iptables -Q"), manual("iptables -L -t"),
    manual("bpftool prog show"), manual("bpftool map show"), manual("bpftool link show"), seed("bpftool prog list"), seed("bpftool map list"),
    manual("bpftool net show"), manual("bpftool prog show id 4000000000"), manual("bpftool -j net show").json(KEYS),
    seed("iptables -t raw -A PREROUTING -p tcp --dport 80 -j TRACE").changes("iptables -t raw -S", "iptables -t raw -D PREROUTING 3"),
    seed("iptables -I INPUT -j LOG --log-prefix \"IPT-INPUT-DROP: \"").changes("iptables -S", "iptables -D INPUT 1"),
    manual("iptables -A FORWARD -s 192.0.2.0/24 -p udp --dport 53:55 -j DROP").changes("iptables -S FORWARD", "iptables -D FORWARD -s 192.0.2.0/24 -p udp --dport 53:55 -j DROP"),
    manual("iptables -D FORWARD 1").changes("iptables -S FORWARD", "iptables -I FORWARD 1 -i eth+ -o br0 -j ACCEPT"),
    manual("iptables -A INPUT -m recent --set").refused("matches beyond ports are listed, not written"),
];
