//! Against the running kernel: loopback, and an empty namespace.

use std::io::Write;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

fn soon() -> Wait<'static> {
    Wait::until(Instant::now() + Duration::from_secs(5))
}

fn only(proto: Proto, dst: SocketAddr, wait: &Wait<'_>) -> Tried {
    one(Try::plain(proto, dst), wait)
}

fn one(what: Try, wait: &Wait<'_>) -> Tried {
    let budget = Budget::new(10);
    let mut all = run(&[what], &Victim::default(), &budget, wait);
    assert_eq!(all.len(), 1);
    assert!(budget.spent() >= 1);
    all.remove(0)
}

/// A port nobody listens on: taken, noted and given back.
fn closed(v6: bool) -> Option<SocketAddr> {
    let here = if v6 { "[::1]:0" } else { "127.0.0.1:0" };
    let socket = UdpSocket::bind(here);
    if let Err(error) = &socket {
        println!("skipped {here}: {error}");
    }
    Some(socket.ok()?.local_addr().unwrap())
}

#[test]
fn a_connection_that_stays_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dst = listener.local_addr().unwrap();
    let tried = only(Proto::Tcp, dst, &soon());
    assert_eq!((&tried.attempt.outcome, tried.attempt.phase), (&Outcome::Ok, Phase::Answered));
    assert!(tried.attempt.elapsed_us < 100_000, "the watching is not part of it");
    assert_eq!(tried.attempt.local, Some(tried.stream.unwrap().local_addr().unwrap()));
    assert!(tried.attempt.cookie.unwrap() != 0);
    assert_eq!(tried.attempt.tcp.unwrap().state, 1, "established");
    assert!(tried.attempt.started > 0);
}

#[test]
fn a_refusal_by_the_stack() {
    for v6 in [false, true] {
        let Some(dst) = closed(v6) else { continue };
        let tried = only(Proto::Tcp, dst, &soon());
        let Outcome::Error { call, name, .. } = &tried.attempt.outcome else { panic!("{tried:?}") };
        assert_eq!((call.as_str(), name.as_str()), ("connect", "ECONNREFUSED"));
        assert_eq!((tried.attempt.phase, tried.attempt.icmp.len()), (Phase::Connect, 0));
        assert!(tried.stream.is_none());
    }
}

#[test]
fn a_peer_that_ends_or_resets_at_once() {
    for (reset, banner) in [(false, &b""[..]), (true, b""), (false, b"421 go away\r\n")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let dst = listener.local_addr().unwrap();
        let peer = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(banner).unwrap();
            if reset {
                let socket = Socket::from_tcp_stream(stream).unwrap();
                socket.reset_on_close().unwrap();
            }
        });
        let what = Try { linger: Duration::from_secs(5), ..Try::plain(Proto::Tcp, dst) };
        let tried = one(what, &soon());
        peer.join().unwrap();
        match tried.attempt.outcome {
            Outcome::ClosedEarly { reset: how, bytes, .. } => {
                assert_eq!((how, bytes), (reset, banner.len() as u64));
            }
            // The end may come a moment after the banner.
            Outcome::Ok => assert!(!banner.is_empty()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_service_that_speaks_first_keeps_its_words() {
    use std::io::Read;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dst = listener.local_addr().unwrap();
    let (done, hold) = std::sync::mpsc::channel::<()>();
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"SSH-2.0-x\r\n").unwrap();
        let _ = hold.recv();
    });
    let what = Try { linger: Duration::from_secs(5), ..Try::plain(Proto::Tcp, dst) };
    let tried = one(what, &soon());
    assert_eq!((&tried.attempt.outcome, tried.attempt.phase), (&Outcome::Ok, Phase::Answered));
    let mut text = [0; 4];
    tried.stream.unwrap().read_exact(&mut text).unwrap();
    assert_eq!(&text, b"SSH-");
    drop(done);
    peer.join().unwrap();
}

#[test]
fn datagrams_answered_refused_and_ignored() {
    let echo = UdpSocket::bind("127.0.0.1:0").unwrap();
    let dst = echo.local_addr().unwrap();
    let peer = std::thread::spawn(move || {
        let mut buffer = [0; 64];
        let (length, from) = echo.recv_from(&mut buffer).unwrap();
        echo.send_to(&buffer[..length], from).unwrap();
        length
    });
    let tried = one(Try { payload: b"hello".to_vec(), ..Try::plain(Proto::Udp, dst) }, &soon());
    assert_eq!(peer.join().unwrap(), 5);
    assert_eq!((&tried.attempt.outcome, tried.attempt.phase), (&Outcome::Ok, Phase::Answered));

    for v6 in [false, true] {
        let Some(dst) = closed(v6) else { continue };
        let tried = only(Proto::Udp, dst, &soon());
        let Outcome::Error { name, .. } = &tried.attempt.outcome else { panic!("{tried:?}") };
        assert_eq!(name, "ECONNREFUSED");
        let [icmp] = tried.attempt.icmp.as_slice() else { panic!("{tried:?}") };
        let expected = if v6 { (true, 1, 4) } else { (false, 3, 3) };
        assert_eq!((icmp.v6, icmp.icmp_type, icmp.code), expected);
        assert_eq!((icmp.from, icmp.local), (Some(dst.ip()), false));
    }

    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let wait = Wait::until(Instant::now() + Duration::from_millis(80));
    let tried = only(Proto::Udp, silent.local_addr().unwrap(), &wait);
    assert_eq!((tried.attempt.outcome, tried.attempt.phase), (Outcome::Timeout, Phase::Connect));
    assert!(tried.attempt.elapsed_us >= 80_000);
}

#[test]
fn an_answer_to_the_second_datagram_is_heard() {
    let lossy = UdpSocket::bind("127.0.0.1:0").unwrap();
    let dst = lossy.local_addr().unwrap();
    let peer = std::thread::spawn(move || {
        let mut buffer = [0; 64];
        lossy.recv_from(&mut buffer).unwrap();
        let (_, from) = lossy.recv_from(&mut buffer).unwrap();
        lossy.send_to(b"at last", from).unwrap();
    });
    let budget = Budget::new(2);
    let tried = run(&[Try::plain(Proto::Udp, dst)], &Victim::default(), &budget, &soon());
    peer.join().unwrap();
    assert_eq!(tried[0].attempt.outcome, Outcome::Ok);
    assert_eq!(budget.spent(), 2);
}

#[test]
fn the_owner_may_end_the_wait() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let stop = AtomicBool::new(false);
    let asked = || stop.swap(true, Ordering::Relaxed);
    let wait = Wait { deadline: Instant::now() + Duration::from_secs(60), stop: &asked };
    let began = Instant::now();
    let tried = only(Proto::Udp, silent.local_addr().unwrap(), &wait);
    assert_eq!(tried.attempt.outcome, Outcome::Timeout);
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn several_at_once_come_back_in_order_and_within_the_budget() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap();
    let shut = closed(false).unwrap();
    let tries = [Try::plain(Proto::Tcp, shut), Try::plain(Proto::Tcp, open), Try::plain(Proto::Udp, shut)];
    let budget = Budget::new(2);
    let tried = run(&tries, &Victim::default(), &budget, &soon());
    let outcomes: Vec<_> = tried.iter().map(|tried| (tried.attempt.dport, tried.stream.is_some())).collect();
    assert_eq!(outcomes, [(shut.port(), false), (open.port(), true)], "the third is beyond the budget");
}

#[test]
fn what_the_victim_has_set_is_set_and_its_refusal_is_told() {
    let dst = closed(false).unwrap();
    let victim = Victim { device: Some("no-such-dev0".into()), ..Victim::default() };
    let tried = run(&[Try::plain(Proto::Tcp, dst)], &victim, &Budget::new(1), &soon());
    let attempt = &tried[0].attempt;
    assert_eq!(attempt.phase, Phase::Socket);
    let Outcome::Error { call, name, .. } = &attempt.outcome else { panic!("{attempt:?}") };
    assert_eq!((call.as_str(), name.as_str()), ("setsockopt SO_BINDTODEVICE", "ENODEV"));

    let victim = Victim { source: Some("127.0.0.9".parse().unwrap()), ..Victim::default() };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let what = Try::plain(Proto::Tcp, listener.local_addr().unwrap());
    let tried = run(&[what], &victim, &Budget::new(4), &soon());
    assert_eq!(tried[0].attempt.local.unwrap().ip(), "127.0.0.9".parse::<IpAddr>().unwrap());
}

#[test]
fn an_address_without_a_route_fails_at_once() {
    let inside = netwhy_sys::netns::in_new_netns(|| {
        let dst = "198.51.100.1:80".parse().unwrap();
        [Proto::Tcp, Proto::Udp].map(|proto| only(proto, dst, &soon()).attempt)
    });
    let attempts = match inside {
        Ok(attempts) => attempts,
        Err(error) => return println!("skipped: cannot make a network namespace ({error})"),
    };
    for attempt in attempts {
        let Outcome::Error { call, name, .. } = &attempt.outcome else { panic!("{attempt:?}") };
        assert_eq!((call.as_str(), name.as_str()), ("connect", "ENETUNREACH"));
        assert_eq!((attempt.local, attempt.phase), (None, Phase::Connect));
        assert!(attempt.elapsed_us < 1_000_000);
    }
}

#[test]
fn an_error_from_a_router_names_the_router() {
    let Some(net) = crate::testing::routed() else { return };
    net.client
        .run(|| {
            // Routed to the router, which knows no way on.
            crate::testing::route("192.0.2.0", 24, "198.51.100.254");
            crate::testing::route("2001:db8:9::", 64, "2001:db8:1::254");
            for (dst, from, code) in [
                ("192.0.2.1:80", "198.51.100.254", (3, 0)),
                ("[2001:db8:9::1]:80", "2001:db8:1::254", (1, 0)),
            ] {
                let dst: SocketAddr = dst.parse().unwrap();
                for proto in [Proto::Tcp, Proto::Udp] {
                    let attempt = only(proto, dst, &soon()).attempt;
                    let Outcome::Error { name, .. } = &attempt.outcome else { panic!("{attempt:?}") };
                    assert_eq!(name, "ENETUNREACH");
                    let [icmp] = attempt.icmp.as_slice() else { panic!("{attempt:?}") };
                    assert_eq!((icmp.icmp_type, icmp.code), code);
                    assert_eq!((icmp.from, icmp.local), (Some(from.parse().unwrap()), false));
                    assert_eq!(attempt.local.map(|local| local.is_ipv4()), Some(dst.is_ipv4()));
                }
            }
        })
        .unwrap();
}

#[test]
fn silence_is_a_timeout_with_the_repeated_syns_counted() {
    let Some(net) = crate::testing::routed() else { return };
    // The router forwards no more and, being asked for nothing it has, says nothing.
    net.router.run(|| crate::testing::sysctl("net.ipv4.ip_forward", "0")).unwrap();
    net.client
        .run(|| {
            let budget = Budget::new(1);
            let wait = Wait::until(Instant::now() + Duration::from_millis(1_300));
            let what = Try::plain(Proto::Tcp, "203.0.113.1:80".parse().unwrap());
            let attempt = run(&[what], &Victim::default(), &budget, &wait).remove(0).attempt;
            assert_eq!((&attempt.outcome, attempt.phase), (&Outcome::Timeout, Phase::Connect));
            let tcp = attempt.tcp.unwrap();
            assert_eq!((tcp.state, tcp.total_retrans), (2, 1), "SYN-SENT, repeated after a second");
            assert_eq!(attempt.local.unwrap().ip(), "198.51.100.1".parse::<IpAddr>().unwrap());
        })
        .unwrap();
}

#[test]
fn small_segments_get_through_where_large_ones_are_lost() {
    use std::io::Read;
    let Some(net) = crate::testing::routed() else { return };
    // The way back narrows to 1,000 bytes, and the router's errors do not leave it.
    net.router.run(|| crate::testing::set_mtu("rc", 1000)).unwrap();
    let rules = "table inet t { chain o { type filter hook output priority 0; \
                 icmp type destination-unreachable drop; }; }";
    if !net.router.run(|| crate::testing::nft(rules)).unwrap() {
        return;
    }
    let listener = net.server.run(|| TcpListener::bind("203.0.113.1:8080").unwrap()).unwrap();
    let server = std::thread::spawn(move || {
        // Whoever connects is sent more than a packet holds; the second one gets it.
        let held: Vec<_> = (0..2)
            .map(|_| {
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(&[7; 4000]).unwrap();
                stream
            })
            .collect();
        std::thread::sleep(Duration::from_millis(700));
        drop(held);
    });
    net.client
        .run(|| {
            let dst = "203.0.113.1:8080".parse().unwrap();
            for (max_segment, whole) in [(None, false), (Some(900), true)] {
                let what = Try { max_segment, linger: Duration::ZERO, ..Try::plain(Proto::Tcp, dst) };
                let mut stream = one(what, &soon()).stream.unwrap();
                stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
                assert_eq!(stream.read_exact(&mut [0; 4000]).is_ok(), whole, "{max_segment:?}");
            }
        })
        .unwrap();
    server.join().unwrap();
}
