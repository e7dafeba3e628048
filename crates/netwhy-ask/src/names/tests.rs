//! Against a name server of our own on loopback that misbehaves as told by the name.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use super::*;

/// What the server does with a query, by the first label of its name.
fn respond(query: &[u8], tcp: bool, asked: u32) -> Option<Vec<u8>> {
    let length = usize::from(*query.get(12)?);
    let word = std::str::from_utf8(query.get(13..13 + length)?).ok()?;
    let end = 12 + query.get(12..)?.iter().position(|byte| *byte == 0)? + 1;
    let is_a = query.get(end + 1) == Some(&1);
    let mut out = query.get(..end + 4)?.to_vec();
    out[2] |= 0x80;
    out[3] = 0x80;
    out[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    let address = |out: &mut Vec<u8>| {
        out[7] = 1;
        out.extend([0xc0, 12, 0, if is_a { 1 } else { 28 }, 0, 1, 0, 0, 0, 30]);
        if is_a {
            out.extend([0, 4, 203, 0, 113, 1]);
        } else {
            out.extend([0, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        }
    };
    match word {
        "ok" => address(&mut out),
        "v4" if is_a => address(&mut out),
        "v4" | "nodata" => {}
        "nx" => out[3] |= 3,
        "fail" => out[3] |= 2,
        "refuse" => out[3] |= 5,
        "cut" if !tcp => out[2] |= 2,
        "cut" => address(&mut out),
        "id" => {
            address(&mut out);
            out[0] = !out[0];
        }
        "garbage" => out = b"\x00\xff not a message".to_vec(),
        "second" if asked < 2 => return None,
        "second" => address(&mut out),
        "tcponly" if tcp => address(&mut out),
        _ => return None,
    }
    Some(out)
}

struct Server {
    resolver: Resolver,
    stop: Arc<AtomicBool>,
    queries: Arc<AtomicU32>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Server {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let queries = Arc::new(AtomicU32::new(0));
        // The same port for both; the next try takes another.
        let (udp, tcp) = (0..50)
            .find_map(|_| {
                let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
                let tcp = TcpListener::bind(udp.local_addr().unwrap()).ok()?;
                Some((udp, tcp))
            })
            .unwrap();
        let here = udp.local_addr().unwrap();
        udp.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let (ended, counted) = (Arc::clone(&stop), Arc::clone(&queries));
        let by_udp = std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !ended.load(Ordering::Relaxed) {
                let Ok((length, from)) = udp.recv_from(&mut buffer) else { continue };
                let asked = counted.fetch_add(1, Ordering::Relaxed) + 1;
                if let Some(answer) = respond(&buffer[..length], false, asked) {
                    udp.send_to(&answer, from).unwrap();
                }
            }
        });
        let ended = Arc::clone(&stop);
        let by_tcp = std::thread::spawn(move || {
            let mut open = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                let Ok((mut stream, _)) = tcp.accept() else {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut query).unwrap();
                if let Some(answer) = respond(&query, true, 0) {
                    // In two pieces, so that putting them together is tested too.
                    stream.write_all(&(answer.len() as u16).to_be_bytes()).unwrap();
                    stream.write_all(&answer[..5]).unwrap();
                    std::thread::sleep(Duration::from_millis(5));
                    stream.write_all(&answer[5..]).unwrap();
                }
                open.push(stream);
            }
        });
        let resolver = Resolver {
            servers: vec![NameServer { addr: here.ip(), port: here.port(), line: 1 }],
            ndots: 1,
            timeout_s: 5,
            attempts: 2,
            nsswitch_hosts: vec!["files".into(), "dns".into()],
            ..Resolver::default()
        };
        Server { resolver, stop, queries, threads: vec![by_udp, by_tcp] }
    }

    fn ask(&self, host: &str) -> NameAnswers {
        self.ask_for(host, None, &Budget::new(100))
    }

    fn ask_for(&self, host: &str, family: Option<Family>, budget: &Budget) -> NameAnswers {
        self.queries.store(0, Ordering::Relaxed);
        let wait = Wait::until(Instant::now() + Duration::from_secs(10));
        resolve(host, &self.resolver, family, budget, &wait)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if let Err(panic) = thread.join()
                && !std::thread::panicking()
            {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

fn outcome<'a>(answers: &'a NameAnswers, qtype: &str, tcp: bool) -> &'a NameOutcome {
    let mut found = answers.queries.iter().filter(|query| query.qtype == qtype && query.tcp == tcp);
    let one = found.next().unwrap_or_else(|| panic!("no {qtype} tcp={tcp} in {answers:?}"));
    assert!(found.next().is_none());
    &one.outcome
}

#[test]
fn an_answer_for_both_families() {
    let server = Server::start();
    let budget = Budget::new(100);
    let answers = server.ask_for("ok.example", None, &budget);
    assert_eq!(answers.queries.len(), 2);
    assert!(answers.queries.iter().all(|query| !query.tcp && query.elapsed_us < 1_000_000));
    assert_eq!(answers.application.addresses.len(), 2);
    assert_eq!(answers.application.canonical.as_deref(), Some("ok.example"));
    assert_eq!(budget.spent(), 2);
    let answers = server.ask_for("ok.example", Some(Family::Inet6), &budget);
    assert_eq!(answers.queries.len(), 1);
    assert_eq!(answers.application.addresses, [("2001:db8::1".parse().unwrap(), "dns".to_owned())]);
}

#[test]
fn each_failure_is_told_apart() {
    let server = Server::start();
    for (host, rcode, word) in [
        ("nx.example", "NXDOMAIN", "EAI_NONAME"),
        ("nodata.example", "NOERROR", "EAI_NODATA"),
        ("fail.example", "SERVFAIL", "EAI_AGAIN"),
        ("refuse.example", "REFUSED", "EAI_AGAIN"),
    ] {
        let answers = server.ask(host);
        assert!(
            matches!(outcome(&answers, "A", false), NameOutcome::Reply { rcode: got, .. } if got == rcode)
        );
        assert_eq!(answers.application.error.as_deref(), Some(word), "{host}");
    }
}

#[test]
fn a_cut_answer_is_fetched_over_tcp() {
    let server = Server::start();
    let answers = server.ask("cut.example");
    assert!(matches!(outcome(&answers, "A", false), NameOutcome::Reply { truncated: true, .. }));
    assert!(
        matches!(outcome(&answers, "A", true), NameOutcome::Reply { addresses, .. } if addresses.len() == 1)
    );
    assert_eq!(answers.application.addresses.len(), 2);
}

#[test]
fn what_is_not_the_answer_is_garbage_but_does_not_end_the_wait() {
    let server = Server::start();
    for (host, words) in [("id.example", "id "), ("garbage.example", "id ")] {
        let answers = server.ask_for(host, Some(Family::Inet), &Budget::new(100));
        let NameOutcome::Garbage { why } = outcome(&answers, "A", false) else { panic!("{answers:?}") };
        assert!(why.starts_with(words), "{why}");
        assert!(matches!(outcome(&answers, "A", true), NameOutcome::Garbage { .. }));
        assert_eq!(answers.application.error.as_deref(), Some("EAI_AGAIN"));
    }
}

#[test]
fn a_lost_datagram_is_sent_again_and_silence_is_compared_with_tcp() {
    let server = Server::start();
    let answers = server.ask_for("second.example", Some(Family::Inet), &Budget::new(100));
    let NameOutcome::Reply { addresses, .. } = outcome(&answers, "A", false) else { panic!("{answers:?}") };
    assert_eq!(addresses.len(), 1);
    assert!(answers.queries[0].elapsed_us >= 1_000_000);

    let answers = server.ask_for("tcponly.example", Some(Family::Inet), &Budget::new(100));
    assert_eq!(outcome(&answers, "A", false), &NameOutcome::Timeout);
    assert!(
        matches!(outcome(&answers, "A", true), NameOutcome::Reply { addresses, .. } if addresses.len() == 1)
    );
    assert_eq!(answers.application.error.as_deref(), Some("EAI_AGAIN"), "the victim would not use TCP");
    assert_eq!(answers.application.elapsed_us, 10_000_000);
}

#[test]
fn nobody_there_is_an_error_with_its_name() {
    // A port of UDP and TCP that nobody has.
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let resolver = Resolver {
        servers: vec![NameServer { addr: closed.ip(), port: closed.port(), line: 1 }],
        nsswitch_hosts: vec!["dns".into()],
        ..Resolver::default()
    };
    let wait = Wait::until(Instant::now() + Duration::from_secs(10));
    let answers = resolve("ok.example", &resolver, Some(Family::Inet), &Budget::new(9), &wait);
    for tcp in [false, true] {
        assert!(
            matches!(outcome(&answers, "A", tcp), NameOutcome::Error { name, .. } if name == "ECONNREFUSED")
        );
    }
}

#[test]
fn the_search_list_is_followed_only_as_far_as_needed() {
    let mut server = Server::start();
    server.resolver.search = vec!["nx".into(), "example".into(), "unneeded".into()];
    server.resolver.ndots = 1;
    // "v4.nx": the server goes by the first label, so every candidate has the address: one is enough.
    let answers = server.ask("v4");
    assert_eq!(answers.candidates, ["v4.nx", "v4.example", "v4.unneeded", "v4"]);
    assert_eq!(answers.application.canonical.as_deref(), Some("v4.nx"));
    assert_eq!(answers.queries.len(), 2);
    // Denied everywhere: every candidate is asked.
    let answers = server.ask("nx");
    assert_eq!(answers.queries.len(), 8);
    assert_eq!(answers.application.error.as_deref(), Some("EAI_NONAME"));
    // Failing: the next candidate would fail the same way.
    let answers = server.ask("fail");
    assert!(answers.queries.iter().all(|query| query.qname == "fail.nx"));
}

#[test]
fn addresses_and_known_names_send_nothing() {
    let server = Server::start();
    for (host, address) in
        [("198.51.100.7", "198.51.100.7"), ("fe80::1%eth0", "fe80::1"), ("[2001:db8::1]", "2001:db8::1")]
    {
        let answers = server.ask(host);
        assert_eq!(answers.application.addresses, [(address.parse().unwrap(), "literal".to_owned())]);
        assert!(answers.queries.is_empty());
    }
    let no_dns = Resolver { nsswitch_hosts: vec!["files".into()], ..server.resolver.clone() };
    let wait = Wait::until(Instant::now() + Duration::from_secs(1));
    let answers = resolve("ok.example", &no_dns, None, &Budget::new(9), &wait);
    assert_eq!((answers.queries.len(), answers.application.error.as_deref()), (0, Some("EAI_NONAME")));
    assert_eq!(server.queries.load(Ordering::Relaxed), 0);
}

#[test]
fn a_spent_budget_is_said() {
    let server = Server::start();
    let answers = server.ask_for("ok.example", None, &Budget::new(0));
    assert!(answers.queries.is_empty());
    assert_eq!((answers.application.error, answers.application.not_modelled.len()), (None, 1));
}

#[test]
fn what_the_hosts_file_says_is_compared_but_not_waited_for() {
    use netwhy_facts::resolver::HostsEntry;
    let mut server = Server::start();
    let entry = |name: &str| HostsEntry { line: 1, addr: "198.51.100.5".parse().unwrap(), name: name.into() };
    server.resolver.hosts = vec![entry("ok.example"), entry("silent.example")];
    let answers = server.ask("ok.example");
    assert_eq!(answers.queries.len(), 2);
    assert_eq!(answers.application.addresses, [("198.51.100.5".parse().unwrap(), "files".to_owned())]);
    let began = Instant::now();
    let answers = server.ask("silent.example");
    assert!(began.elapsed() < Duration::from_millis(900));
    assert_eq!((answers.queries.len(), answers.application.addresses.len()), (0, 1));
    server.resolver.nsswitch_hosts = vec!["dns".into(), "files".into()];
    let answers = server.ask_for("silent.example", Some(Family::Inet), &Budget::new(9));
    assert_eq!(outcome(&answers, "A", false), &NameOutcome::Timeout);
}
