//! `ss`, `netstat`, `lsof`, `nstat`, `sar`, `sysctl`, `prlimit`, `dmesg`: sockets in every state a test can hold.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixListener, UnixStream};

use netwhy_sys::socket::{Family, Kind, ListenOptions, Socket, listen_tcp};

use crate::line::{Group, Line, State, manual, seed};
use crate::run::shell;

/// The lines of the tools that show sockets, counters and settings.
pub(crate) fn group() -> Group {
    Group { name: "sock", state, normalise, lines: LINES.to_vec() }
}

fn state() -> Result<State, String> {
    shell(include_str!("sock.sh"))?;
    held().map_err(|error| error.to_string())
}

/// Listeners, connections in their states, bound and connected datagrams, unix sockets.
fn held() -> Result<State, Box<dyn std::error::Error>> {
    let own = ListenOptions::default();
    let at = |text: &str| text.parse::<SocketAddr>();
    let http = listen_tcp(at("127.0.0.1:80")?, ListenOptions { backlog: 128, ..own })?;
    let queued = listen_tcp(at("0.0.0.0:22")?, ListenOptions { backlog: 5, ..own })?;
    let device = listen_tcp(at("198.51.100.1:7777")?, ListenOptions { device: Some("v0"), ..own })?;
    let six = listen_tcp(at("[::]:9000")?, ListenOptions { v6_only: Some(true), ..own })?;
    let dual = listen_tcp(at("[::]:443")?, ListenOptions { v6_only: Some(false), ..own })?;
    let pair = |listener: &TcpListener, to: &str| -> std::io::Result<(TcpStream, TcpStream)> {
        let client = TcpStream::connect(to)?;
        Ok((client, listener.accept()?.0))
    };
    let (mut client, mut server) = pair(&http, "127.0.0.1:80")?;
    client.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    server.read_exact(&mut [0; 18])?;
    server.write_all(&[b'y'; 5000])?;
    client.read_exact(&mut [0; 5000])?;
    let (mut waiting, unread) = pair(&http, "127.0.0.1:80")?;
    waiting.write_all(&[b'x'; 1000])?;
    // FIN-WAIT-2 and CLOSE-WAIT.
    let half = pair(&http, "127.0.0.1:80")?;
    half.0.shutdown(Shutdown::Write)?;
    // TIME-WAIT on the client's side.
    let (first, second) = pair(&http, "127.0.0.1:80")?;
    drop(first);
    drop(second);
    let mapped = pair(&dual, "127.0.0.1:443")?;
    let plain6 = pair(&six, "[::1]:9000")?;
    // A connection nobody accepts, and one nobody answers.
    let unaccepted = TcpStream::connect("127.0.0.1:22")?;
    let lonely = Socket::open(Family::V4, Kind::Tcp)?;
    let _ = lonely.connect(at("198.51.100.77:9")?)?;
    let marked = Socket::open(Family::V4, Kind::Tcp)?;
    marked.set_mark(0x123)?;
    let _ = marked.connect(at("127.0.0.1:80")?)?;
    let accepted = http.accept()?.0;
    let bound = UdpSocket::bind("127.0.0.1:5353")?;
    let any = UdpSocket::bind("0.0.0.0:53")?;
    let any6 = UdpSocket::bind("[::]:5000")?;
    let connected = UdpSocket::bind("127.0.0.1:0")?;
    connected.connect("127.0.0.1:5353")?;
    connected.send(&[b'z'; 100])?;
    let path = "/run/classic.stream";
    let stream = UnixListener::bind(path)?;
    let mut caller = UnixStream::connect(path)?;
    let called = stream.accept()?.0;
    caller.write_all(b"hello")?;
    let datagram = UnixDatagram::bind_addr(&UnixAddr::from_abstract_name("classic-dgram")?)?;
    let loose = UnixDatagram::unbound()?;
    let both = UnixStream::pair()?;
    Ok(Box::new((
        (http, queued, device, six, dual, client, server, waiting, unread, half),
        (mapped, plain6, unaccepted, lonely, marked, accepted),
        (bound, any, any6, connected, stream, caller, called, datagram, loose, both),
    )))
}

/// Times that pass, the tool's own process and socket, and the clock.
fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        // What listens to the kernel is the tool itself: its queue, memory and process id.
        if line.contains("tcpdiag:") || line.contains("rtnl:") {
            out.push_str(&hide_digits(line));
            continue;
        }
        let clock = line.get(..8).is_some_and(|start| {
            start
                .bytes()
                .enumerate()
                .all(|(at, byte)| if at % 3 == 2 { byte == b':' } else { byte.is_ascii_digit() })
        });
        let line = if clock { format!("##:##:##{}", &line[8..]) } else { line.to_owned() };
        let mut rest = line.as_str();
        while let Some((at, word)) = ["lastsnd:", "lastrcv:", "lastack:", "timer:(", "on (", "timewait ("]
            .iter()
            .filter_map(|word| Some((rest.find(word)?, *word)))
            .min()
        {
            let after = at + word.len();
            out.push_str(&rest[..after]);
            let end = rest[after..].find([' ', ')', '\n']).map_or(rest.len(), |end| after + end);
            out.push_str(
                &hide_digits(&rest[after..end]).replace("min", "").replace("sec", "").replace("ms", ""),
            );
            rest = &rest[end..];
        }
        out.push_str(rest);
    }
    out
}

/// Runs of digits, and the points between them, as one sign.
fn hide_digits(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter.is_ascii_digit() || (letter == '.' && out.ends_with('#')) {
            true if out.ends_with('#') => {}
            true => out.push('#'),
            false => out.push(letter),
        }
    }
    // Numbers of other lengths move the blanks behind them.
    out.split_inclusive('\n')
        .map(|line| line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
        .collect()
}

const DEVICE: &str = "the original takes the kernel's device number for the C library's";

/// The same but for the device number of a unix socket's path.
fn but_for_the_device(real: &str, ours: &str) -> bool {
    let plain = |text: &str| -> String {
        text.split_whitespace()
            .map(|word| if word.starts_with("dev:") { "dev" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
    };
    plain(real) == plain(ours)
}

/// The same counters though some moved meanwhile: names, in order.
fn same_names(real: &str, ours: &str) -> bool {
    let names = |text: &str| {
        text.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect::<Vec<_>>()
    };
    names(real) == names(ours)
}

/// The same but for the digits: a retransmission falls into one run and not into the other.
fn same_layout(real: &str, ours: &str) -> bool {
    hide_digits(real) == hide_digits(ours)
}

const HASHED: &str = "netlink sockets come in the order of a hash";
const MOVES: &str = "counters move between the two runs";

#[rustfmt::skip]
const LINES: &[Line] = &[
    // ss
    seed("ss -ta"), seed("ss -tln"), seed("ss -tlnp"), seed("ss -tm"), seed("ss -t state established"), seed("ss -tei"),
    seed("ss -tan '( dport = :80 or sport = :80 )'"), seed("ss -ti"), seed("ss -tiepo"), seed("ss -ti | grep -i cubic"),
    seed("ss -s").by(same_names, MOVES), seed("ss -tan | awk '{print $1}' | sort | uniq -c"),
    seed("ss -tan | grep TIME_WAIT | wc -l"), seed("ss -tan"),
    manual("ss"), manual("ss -t -a"), manual("ss -u -a"), manual("ss -n"), manual("ss -a"), manual("ss -l"), manual("ss -H"),
    manual("ss -t"), manual("ss -u"), manual("ss -w"), manual("ss -x"), manual("ss -0"), manual("ss -4"), manual("ss -6"),
    manual("ss -4a"), manual("ss -6a"), manual("ss -4u"), manual("ss -4x"), manual("ss -tu"), manual("ss -tux"),
    manual("ss -f inet"), manual("ss -f inet6"), manual("ss -f unix"), manual("ss -f link"), manual("ss -f netlink"),
    manual("ss --vsock -a"), manual("ss -M"), manual("ss -A tcp"), manual("ss -A udp"), manual("ss -A tcp,udp"), manual("ss -A inet"),
    manual("ss -A unix"), manual("ss -A all"), manual("ss -a -A 'all,!tcp'").sorted(HASHED), manual("ss -A packet_raw"), manual("ss -A bogus"),
    manual("ss -o state established '( dport = :ssh or sport = :ssh )'"), manual("ss -x src '/run/*'"),
    manual("ss -o state fin-wait-1 '( sport = :http or sport = :https )' dst 193.233.7/24"),
    manual("ss state listening"), manual("ss state close").sorted(HASHED), manual("ss -t state time-wait"), manual("ss state connected"),
    manual("ss state synchronized"), manual("ss state bucket"), manual("ss state big"), manual("ss exclude established"),
    manual("ss state established state time-wait"), manual("ss -t state all"), manual("ss state bogus"),
    manual("ss -tan dport = :80"), manual("ss -tan dport 80"), manual("ss -tan dport = http"), manual("ss -tan 'sport eq :ssh'"),
    manual("ss -tan 'dport >= :1024'"), manual("ss -tan 'dport > :79 and dport < :81'"), manual("ss -tan dport le 443"), manual("ss -tan dport neq 80"),
    manual("ss -tan dst 127.0.0.1:80"), manual("ss -tan dst 127/8"), manual("ss -tan 'src [::1]'"), manual("ss -tan not dport = :80"),
    manual("ss -tan '! dport = :80'"), manual("ss -tan 'dport = :80 || sport = :80'"), manual("ss -tan autobound"), manual("ss -tan dev v0"),
    manual("ss -tan dev = v0"), manual("ss -tan dev != v0"), manual("ss -tan fwmark = 0x123"), manual("ss -tan fwmark = 0x01/0x03"),
    manual("ss -tan dst inet:127.0.0.1"), manual("ss -tan 'dst inet6:[::1]'"), manual("ss -tan 'dst *:80'"), manual("ss -tan src 0.0.0.0/0"),
    manual("ss -tan src ::/0"), manual("ss -tan 'dst [::ffff:127.0.0.1]'"), manual("ss -tan dst 300.1.1.1"), manual("ss -tan dport = nosuch"),
    manual("ss -tan dport"), manual("ss -tan dev nosuch"), manual("ss -tan fwmark abc"), manual("ss -tan '(' dport = :80"),
    manual("ss -tin"), manual("ss -tine"), manual("ss -tanm"), manual("ss -tano"), manual("ss -tane"), manual("ss -tanp"), 
    manual("ss -tiemopna"), manual("ss -tiemopnaO"), manual("ss -tan --tos"), manual("ss -tan --cgroup"), manual("ss -tan --inet-sockopt"),
    manual("ss -tanO --inet-sockopt"), manual("ss -uanime"), manual("ss -uap"), manual("ss -xa"), manual("ss -xap"), manual("ss -xam"),
    manual("ss -xae").by(but_for_the_device, DEVICE), manual("ss -Htan"), manual("ss -Q"), manual("ss -N nosuchns -t"),
    manual("ss -tanZ").refused("no SELinux labels"), manual("ss --tipc").refused("TIPC is not read"), manual("ss -d").refused("DCCP left the kernel"),
    // netstat
    seed("netstat -tlnp"), seed("netstat -tunap"), seed("netstat -rn"), seed("netstat -i"),
    manual("netstat -tn"), manual("netstat -ant"), manual("netstat -anu"), manual("netstat -lnt"), manual("netstat -lnu"), manual("netstat -an -4"),
    manual("netstat -an -6"), manual("netstat -ten"), manual("netstat -tuepan"), manual("netstat -xa"), manual("netstat -x"), manual("netstat -xl"),
    manual("netstat -xap"), manual("netstat -rn -e"), manual("netstat -rn -ee"), manual("netstat -in"), manual("netstat -i -a"),
    manual("netstat -su"), manual("netstat -s").by(same_names, MOVES), manual("netstat -st").by(same_names, MOVES),
    manual("netstat -tno"), manual("netstat -an"), manual("netstat -M").refused("conntrack -L shows more"), manual("netstat -gn").refused("ip maddr shows it"),
    manual("netstat -C -rn").refused("kernels since 3.6 keep no route cache"),
    // lsof
    manual("lsof -i -nP"), manual("lsof -i :80 -nP"), manual("lsof -iTCP -sTCP:LISTEN -nP"), manual("lsof -i4 -nP"), manual("lsof -i6 -nP"),
    manual("lsof -iUDP -nP"), manual("lsof -i @127.0.0.1 -nP"), manual("lsof -U"), manual("lsof -t -i :22"), manual("lsof -i tcp:443 -nP"),
    manual("lsof -nP -iTCP:80 -F pcn"), manual("lsof -i :9998"), manual("lsof -i -sTCP:^LISTEN -nP"), manual("lsof -nP -iTCP@127.0.0.1:80"),
    manual("lsof -nP -i :20-30"), manual("lsof -nP -a -i -u root"),
    // nstat
    manual("nstat -as 'Udp*'"), manual("nstat -asz 'Icmp*'"), manual("nstat -asj 'Udp*'"), manual("nstat -asjp 'TcpPassive*'"),
    manual("nstat -az -s").by(same_names, MOVES), manual("nstat -as").by(same_names, MOVES), manual("nstat -as '*nosuch*'"),
    // sar
    seed("sar -n DEV 1 10").by(same_layout, MOVES),
    manual("sar -n EDEV 1 1"), manual("sar -n UDP 1 1"), manual("sar -n SOCK 1 1").by(same_layout, MOVES), manual("sar -n ICMP 1 1"),
    manual("sar -n SOCK6 1 1"), manual("sar -n UDP,SOCK 1 2"), manual("sar -n EIP 1 1"), manual("sar -n EICMP 1 1"), manual("sar -n UDP6 1 1"),
    // sysctl
    seed("sysctl net.ipv4.tcp_congestion_control"), seed("sysctl net.core.rmem_max"), seed("sysctl net.core.wmem_max"),
    seed("sysctl net.ipv4.tcp_rmem"), seed("sysctl net.ipv4.tcp_wmem"),
    seed("sysctl -w net.ipv4.tcp_rmem='4096 87380 67108864'").changes("sysctl -n net.ipv4.tcp_rmem", "sysctl -qw net.ipv4.tcp_rmem='4096 131072 33554432'"),
    seed("sysctl -w net.ipv4.tcp_wmem='4096 65536 67108864'").changes("sysctl -n net.ipv4.tcp_wmem", "sysctl -qw net.ipv4.tcp_wmem='4096 16384 4194304'"),
    seed("sysctl -w net.ipv4.tcp_window_scaling=1").changes("sysctl -n net.ipv4.tcp_window_scaling", "sysctl -qw net.ipv4.tcp_window_scaling=1"),
    seed("sysctl -w net.ipv4.tcp_tw_reuse=1").changes("sysctl -n net.ipv4.tcp_tw_reuse", "sysctl -qw net.ipv4.tcp_tw_reuse=2"),
    seed("sysctl -w net.ipv4.tcp_fin_timeout=30").changes("sysctl -n net.ipv4.tcp_fin_timeout", "sysctl -qw net.ipv4.tcp_fin_timeout=60"),
    manual("sysctl -n net.ipv4.tcp_rmem"), manual("sysctl -N net.ipv4.ip_forward"), manual("sysctl -b net.ipv4.ip_forward"), manual("sysctl net/ipv4/tcp_rmem"),
    manual("sysctl net.ipv4.conf.v0"), manual("sysctl -a -r '^net.ipv6.conf.v0'"), manual("sysctl -a --pattern forward"), manual("sysctl -ar tcp_mem"),
    manual("sysctl nosuch.x"), manual("sysctl -e nosuch.x"), manual("sysctl kernel.ostype fs.nr_open"), manual("sysctl -w nosuch.x=1"),
    manual("sysctl -w net.ipv4.ip_forward=abc"), manual("sysctl net.ipv4.ip_forward=1").changes("sysctl -n net.ipv4.ip_forward", "sysctl -qw net.ipv4.ip_forward=0"),
    manual("sysctl -qw net.ipv4.ip_forward=1").changes("sysctl -n net.ipv4.ip_forward", "sysctl -qw net.ipv4.ip_forward=0"),
    manual("sysctl -p /nosuch"), manual("sysctl -w net.ipv4.ip_forward"), manual("sysctl"),
    // limits
    manual("prlimit -p 1"), manual("prlimit -p 1 --nofile"), manual("prlimit -p 1 --noheadings"), manual("prlimit -p 1 --raw"),
    // the kernel's log
    seed("dmesg | grep conntrack | head -3"),
    manual("dmesg | head -20"), manual("dmesg -T | head -20"), manual("dmesg -x | head -20"), manual("dmesg -r | head -20"), manual("dmesg -t | head -20"),
    manual("dmesg -d | head -20"), manual("dmesg -e | head -20"), manual("dmesg -l err | head"), manual("dmesg -l warn,err -x | head"),
    manual("dmesg -k | head"), manual("dmesg -f kern | head"), manual("dmesg --time-format=iso | head"), manual("dmesg -J | head -20"),
    manual("dmesg -C").refused("reading changes nothing"),
];
