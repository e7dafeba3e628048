//! Sockets, their states, limits and owners, against ss(8) and against what the test itself opened.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};

use netwhy_collect::{Collector, Scope};
use netwhy_facts::question::Role;
use netwhy_facts::socket::Socket;
use netwhy_facts::{Family, Flow, Proto, Reading};
use netwhy_sys::netns::NetnsRef;
use netwhy_sys::socket::{Kind, ListenOptions, Socket as Own, listen_tcp, listen_udp};
use netwhy_wire::inet_diag::{Compare, End, Filter, Request, SocketId, state};

use crate::record::Recording;
use crate::space::{known, run, with};

fn flow(proto: Proto, target: &str) -> Flow {
    let target: SocketAddr = target.parse().unwrap();
    Flow {
        proto,
        src: None,
        sport: None,
        dst: target.ip(),
        dport: target.port(),
        mark: 0,
        uid: None,
        dev: None,
    }
}

fn listen(local: &str, options: ListenOptions<'_>) -> TcpListener {
    listen_tcp(local.parse().unwrap(), options).unwrap()
}

fn read(flow: &Flow, role: Role) -> netwhy_facts::socket::Sockets {
    known(Collector::here().unwrap().sockets(flow, role))
}

/// `LOCAL` of what ss prints with a filter.
fn ss(args: &[&str]) -> BTreeSet<String> {
    let said = run("ss", args);
    said.lines().map(|line| line.split_whitespace().nth(3).unwrap().to_owned()).collect()
}

#[test]
fn listeners_of_every_kind_with_their_owners() {
    with(&["ip", "ss", "sleep"], || {
        run("ip", &["link", "add", "v0", "type", "veth", "peer", "name", "v1"]);
        let own = ListenOptions::default();
        let _held = [
            listen("127.0.0.1:8080", ListenOptions { backlog: 7, ..own }),
            listen("0.0.0.0:8081", own),
            listen("[::]:8080", ListenOptions { v6_only: Some(true), device: Some("v0"), ..own }),
            listen("[::]:8082", ListenOptions { v6_only: Some(false), ..own }),
            listen("127.0.0.2:8083", ListenOptions { reuse_port: true, ..own }),
            listen("127.0.0.2:8083", ListenOptions { reuse_port: true, ..own }),
        ];
        let all = read(&flow(Proto::Tcp, "127.0.0.1:8080"), Role::Inbound);
        let find = |port: u16, six: bool| {
            let sockets = read(&flow(Proto::Tcp, &format!("127.0.0.1:{port}")), Role::Inbound).sockets;
            let family = if six { Family::Inet6 } else { Family::Inet };
            sockets.into_iter().find(|one| one.family == family).unwrap_or_else(|| panic!("{port}"))
        };
        assert_eq!(all.sockets.len(), 2, "{:?}", all.sockets);
        let four = find(8080, false);
        assert_eq!((four.local_text().as_str(), four.state.as_str()), ("127.0.0.1:8080", "LISTEN"));
        assert_eq!((four.rqueue, four.wqueue, four.v6only, four.ifindex), (0, 7, None, 0));
        assert!(four.tcp.is_none() && four.mem.is_some() && four.congestion.is_some());
        let owners = known(four.owners.clone());
        // A program another test starts holds copies of our descriptors until it is executed.
        assert!(owners.iter().any(|owner| owner.pid == std::process::id()), "{owners:?}");
        let six = find(8080, true);
        assert!(six.is_wildcard() && six.v6only == Some(true));
        assert_eq!(six.ifindex, known_index("v0"));
        assert_eq!(find(8082, true).v6only, Some(false));
        let shared = read(&flow(Proto::Tcp, "127.0.0.2:8083"), Role::Inbound).sockets;
        assert_eq!(shared.len(), 2);
        assert_ne!(shared[0].inode, shared[1].inode);
        assert!(shared.iter().all(|one| one.owners.is_known()));
        // Only IPv6 sockets can serve an IPv6 flow.
        assert_eq!(read(&flow(Proto::Tcp, "[::1]:8080"), Role::Inbound).sockets.len(), 1);
        // ss names devices in its own way: addresses alone are compared.
        let theirs = ss(&["-Hltn", "sport = :8080"]);
        let ours: BTreeSet<String> = all.sockets.iter().map(Socket::local_text).collect();
        assert_eq!(ours.len(), theirs.len(), "{ours:?} {theirs:?}");
    });
}

fn known_index(device: &str) -> u32 {
    let text = run("ip", &["-o", "link", "show", "dev", device]);
    text.split(':').next().unwrap().trim().parse().unwrap()
}

#[test]
fn a_socket_held_by_two_processes_has_two_owners() {
    with(&["ip", "sleep"], || {
        let listener = listen("127.0.0.1:8090", ListenOptions::default());
        let copy = std::os::fd::OwnedFd::from(listener.try_clone().unwrap());
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::from(copy)).spawn().unwrap();
        let found = read(&flow(Proto::Tcp, "127.0.0.1:8090"), Role::Inbound).sockets;
        child.kill().unwrap();
        child.wait().unwrap();
        let owners = known(found[0].owners.clone());
        let pids: BTreeSet<u32> = owners.iter().map(|owner| owner.pid).collect();
        assert_eq!(pids, BTreeSet::from([std::process::id(), child.id()]));
        assert!(owners.iter().any(|owner| owner.comm == "sleep" && owner.fd == 0));
    });
}

#[test]
fn connections_are_counted_and_described() {
    with(&["ip", "ss"], || {
        let listener = listen("127.0.0.1:8100", ListenOptions { backlog: 64, ..Default::default() });
        let mut clients: Vec<TcpStream> =
            (0..30).map(|_| TcpStream::connect("127.0.0.1:8100").unwrap()).collect();
        let mut served: Vec<TcpStream> = (0..20).map(|_| listener.accept().unwrap().0).collect();
        clients[0].write_all(b"twelve bytes").unwrap();
        // Closed by the server: FIN-WAIT there, CLOSE-WAIT at the client.
        let closed_port = served.pop().map(|stream| stream.peer_addr().unwrap().port()).unwrap();
        let mut question = flow(Proto::Tcp, "127.0.0.1:8100");
        let client = read(&question, Role::Client);
        assert_eq!(client.to_target, BTreeMap::from([("ESTAB".into(), 29), ("CLOSE-WAIT".into(), 1)]));
        let inbound = read(&question, Role::Inbound);
        assert_eq!(inbound.to_target.values().sum::<u32>(), 30);
        // The client may take its time to acknowledge.
        let finishing = inbound.to_target.iter().filter(|(state, _)| state.starts_with("FIN-WAIT"));
        assert_eq!(finishing.map(|(_, count)| count).sum::<u32>(), 1);
        let listening = inbound.sockets.iter().find(|one| one.state == "LISTEN").unwrap();
        assert_eq!((listening.rqueue, listening.wqueue), (10, 64), "ten wait to be accepted");
        assert!(inbound.sockets.len() < 20, "a few are described");

        question.sport = Some(clients[0].local_addr().unwrap().port());
        let client = read(&question, Role::Client);
        let own = |remote: u16| {
            let found = client
                .sockets
                .iter()
                .filter(|one| Some(one.lport) == question.sport || Some(one.rport) == question.sport);
            found
                .into_iter()
                .find(|one| one.rport == remote)
                .unwrap_or_else(|| panic!("{:?}", client.sockets))
                .clone()
        };
        let (mine, theirs) = (own(8100), own(question.sport.unwrap()));
        let info = mine.tcp.as_ref().unwrap();
        assert_eq!((info.state, info.bytes_sent, info.bytes_acked), (1, Some(12), Some(13)), "{info:?}");
        assert!(info.rtt_us > 0 && info.snd_cwnd > 0 && info.pmtu > 1000 && info.snd_mss > 500);
        assert!(info.snd_wscale > 0 && info.total_rto_time_ms.is_some(), "{info:?}");
        assert_eq!((theirs.rqueue, theirs.tcp.as_ref().unwrap().bytes_received), (12, Some(12)));
        assert!(mine.mem.unwrap().sndbuf > 0 && mine.congestion.is_some() && mine.mark == Some(0));
        assert!(known(mine.owners).iter().any(|owner| owner.pid == std::process::id()));

        let collector = Collector::here().unwrap();
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        let exact = known(collector.socket_for(Proto::Tcp, (here, closed_port), (here, 8100), 0)).unwrap();
        assert_eq!((exact.state.as_str(), exact.shutdown), ("CLOSE-WAIT", Some(1)));
        // Nobody has this pair of ports: the listener would get the packet.
        let would = known(collector.socket_for(Proto::Tcp, (here, 8100), (here, 9), 0)).unwrap();
        assert_eq!(would.state, "LISTEN");
        assert_eq!(known(collector.socket_for(Proto::Tcp, (here, 8101), (here, 9), 0)), None);
    });
}

#[test]
fn ipv4_spoken_by_ipv6_sockets_is_found() {
    with(&["ip"], || {
        let _listener = listen("[::]:8110", ListenOptions { v6_only: Some(false), ..Default::default() });
        let _client = TcpStream::connect("127.0.0.1:8110").unwrap();
        let mut question = flow(Proto::Tcp, "127.0.0.1:8110");
        question.src = Some("127.0.0.1".parse().unwrap());
        let inbound = read(&question, Role::Inbound);
        assert_eq!(inbound.to_target, BTreeMap::from([("ESTAB".into(), 1)]));
        let served = inbound.sockets.iter().find(|one| one.state == "ESTAB").unwrap();
        assert_eq!(served.local, "::ffff:127.0.0.1".parse::<IpAddr>().unwrap());
        assert!(served.tcp.is_some(), "fetched by its mapped addresses");
        question.src = Some("127.0.0.9".parse().unwrap());
        assert!(read(&question, Role::Inbound).to_target.is_empty(), "another source");
    });
}

#[test]
fn time_wait_has_no_owner() {
    with(&["ip"], || {
        let listener = listen("127.0.0.1:8120", ListenOptions::default());
        let client = TcpStream::connect("127.0.0.1:8120").unwrap();
        let served = listener.accept().unwrap().0;
        drop(client);
        drop(served);
        let found = read(&flow(Proto::Tcp, "127.0.0.1:8120"), Role::Client);
        assert_eq!(found.to_target.get("TIME-WAIT"), Some(&1), "{found:?}");
        let waiting = found.sockets.iter().find(|one| one.state == "TIME-WAIT").unwrap();
        assert_eq!((waiting.inode, waiting.owners.clone()), (0, Reading::NotAsked));
    });
}

#[test]
fn a_port_bound_and_not_listening_is_told() {
    with(&["ip"], || {
        let socket = Own::open(netwhy_sys::socket::Family::V4, Kind::Tcp).unwrap();
        socket.bind("127.0.0.1:8130".parse().unwrap()).unwrap();
        let found = read(&flow(Proto::Tcp, "127.0.0.1:8130"), Role::Inbound).sockets;
        match &found[..] {
            [] => println!("this kernel does not list bound sockets (before 6.8)"),
            [one] => assert_eq!((one.state.as_str(), one.lport), ("UNCONN", 8130), "{one:?}"),
            more => panic!("{more:?}"),
        }
    });
}

#[test]
fn udp_sockets_of_a_port() {
    with(&["ip"], || {
        let options = ListenOptions { receive_buffer: Some(4096), ..Default::default() };
        let server = listen_udp("127.0.0.1:5300".parse().unwrap(), options).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect("127.0.0.1:5300").unwrap();
        for _ in 0..100 {
            client.send(&[0; 500]).unwrap();
        }
        let found = read(&flow(Proto::Udp, "127.0.0.1:5300"), Role::Client);
        let bound = found.sockets.iter().find(|one| one.lport == 5300).unwrap();
        assert_eq!(bound.state, "UNCONN");
        assert!(bound.rqueue > 0 && bound.mem.unwrap().drops > 0, "{bound:?}");
        assert!(known(bound.owners.clone()).iter().any(|owner| owner.pid == std::process::id()));
        assert_eq!(found.to_target, BTreeMap::from([("ESTAB".into(), 1)]));
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        let port = client.local_addr().unwrap().port();
        let collector = Collector::here().unwrap();
        let exact = known(collector.socket_for(Proto::Udp, (here, port), (here, 5300), 0)).unwrap();
        assert_eq!((exact.lport, exact.state.as_str()), (port, "ESTAB"));
        let would = known(collector.socket_for(Proto::Udp, (here, 5300), (here, 9), 0)).unwrap();
        assert_eq!((would.lport, would.state.as_str()), (5300, "UNCONN"));
        drop(server);
    });
}

#[test]
fn listeners_of_other_namespaces_are_found_where_they_are() {
    with(&["ip"], || {
        let other = netwhy_sys::netns::NetnsRef::Current.open().unwrap();
        let id = other.id();
        let (ready, wait) = std::sync::mpsc::channel();
        let (done, end) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            // Listing goes by processes and names: a process of its own lives in that namespace.
            scope.spawn(move || {
                other
                    .run(move || {
                        let listener = listen("0.0.0.0:8140", ListenOptions::default());
                        let fd = std::os::fd::OwnedFd::from(listener);
                        let mut child =
                            Command::new("sleep").arg("60").stdin(Stdio::from(fd)).spawn().unwrap();
                        ready.send(child.id()).unwrap();
                        let _ = end.recv();
                        child.kill().unwrap();
                        child.wait().unwrap();
                    })
                    .unwrap();
            });
            let pid = wait.recv().unwrap();
            let apart = netwhy_sys::netns::in_new_netns(|| {
                let question = flow(Proto::Tcp, "127.0.0.1:8140");
                let collector = Collector::open(Scope::of(NetnsRef::Current)).unwrap();
                (read(&question, Role::Inbound), known(collector.foreign_sockets(&question)))
            });
            done.send(()).unwrap();
            let (here, elsewhere) = apart.unwrap();
            assert!(here.sockets.is_empty());
            let found: Vec<_> = elsewhere.0.iter().filter(|one| one.netns == id.inode).collect();
            assert_eq!(found.len(), 1, "{elsewhere:?}");
            assert!(known(found[0].owners.clone()).iter().any(|owner| owner.pid == pid));
        });
    });
}

/// What a filter lets through here and what ss prints for the same words.
#[test]
fn filters_mean_what_they_mean_to_ss() {
    with(&["ip", "ss"], || {
        run("ip", &["addr", "add", "198.51.100.1/24", "dev", "lo"]);
        run("ip", &["-6", "addr", "add", "2001:db8::1/64", "dev", "lo", "nodad"]);
        let addresses = ["127.0.0.1", "127.0.0.2", "198.51.100.1", "[::1]", "[2001:db8::1]"];
        let mut held = Vec::new();
        for (index, address) in addresses.iter().enumerate() {
            for port in [80, 443, 1000 + index] {
                held.push(listen(&format!("{address}:{port}"), ListenOptions::default()));
            }
        }
        held.push(TcpListener::bind("127.0.0.1:0").unwrap());
        let port = |compare, port| Filter::Port(End::Local, compare, port);
        let net = |net: &str, len| Filter::Address { end: End::Local, net: net.parse().unwrap(), len };
        let cases: Vec<(Filter, &str)> = vec![
            (port(Compare::Eq, 443), "sport = :443"),
            (port(Compare::Ne, 443), "sport != :443"),
            (port(Compare::Gt, 443), "sport > :443"),
            (port(Compare::Ge, 443), "sport >= :443"),
            (port(Compare::Lt, 443), "sport < :443"),
            (port(Compare::Le, 443), "sport <= :443"),
            (net("127.0.0.0", 8), "src 127.0.0.0/8"),
            (net("2001:db8::", 32), "src 2001:db8::/32"),
            (Filter::Not(Box::new(net("127.0.0.1", 32))), "not src 127.0.0.1"),
            (
                Filter::Any(vec![
                    port(Compare::Eq, 80),
                    Filter::All(vec![net("198.51.100.1", 32), port(Compare::Gt, 500)]),
                ]),
                "sport = :80 or ( src 198.51.100.1 and sport > :500 )",
            ),
            (Filter::AutoBound, "autobound"),
            (Filter::Any(vec![]), "sport < :1"),
        ];
        let collector = Collector::here().unwrap();
        for (filter, words) in cases {
            let mut ours = BTreeSet::new();
            for family in [2, 10] {
                let request = Request {
                    family,
                    protocol: 6,
                    extensions: 0,
                    states: state::LISTEN,
                    id: SocketId::ANY,
                    filter: Some(filter.clone()),
                };
                collector
                    .socket_listing(&request, |payload| {
                        ours.insert(
                            netwhy_collect::socket::socket(Proto::Tcp, payload).unwrap().local_text(),
                        );
                        std::ops::ControlFlow::Continue(())
                    })
                    .unwrap();
            }
            assert_eq!(ours, ss(&["-Hltn", words]), "{words}");
        }
        // ss of the day has no words for a few: the socket itself is the oracle.
        let marked = Own::open(netwhy_sys::socket::Family::V4, Kind::Tcp).unwrap();
        marked.set_mark(0x15).unwrap();
        marked.bind("127.0.0.1:7000".parse().unwrap()).unwrap();
        let marked = marked.listen(5).unwrap();
        let ports = |filter: Filter| {
            let request = Request {
                family: 2,
                protocol: 6,
                extensions: 0,
                states: state::LISTEN,
                id: SocketId::ANY,
                filter: Some(filter),
            };
            let mut ports = Vec::new();
            let listed = collector.socket_listing(&request, |payload| {
                ports.push(netwhy_collect::socket::socket(Proto::Tcp, payload).unwrap().lport);
                std::ops::ControlFlow::Continue(())
            });
            listed.unwrap();
            ports
        };
        assert_eq!(ports(Filter::Mark { value: 0x5, mask: 0xf }), [7000]);
        assert_eq!(ports(Filter::Mark { value: 0x15, mask: u32::MAX }), [7000]);
        assert!(ports(Filter::Mark { value: 0x5, mask: 0xff }).is_empty());
        assert!(ports(Filter::Device(7)).is_empty());
        assert_eq!(
            ports(Filter::Device(0)).len(),
            held.iter().filter(|one| one.local_addr().unwrap().is_ipv4()).count() + 1
        );
        drop(marked);
    });
}

#[test]
#[ignore = "rewrites fixtures/inet_diag.txt"]
fn record() {
    with(&["ip"], || {
        run("ip", &["link", "add", "v0", "type", "veth", "peer", "name", "v1"]);
        run("ip", &["addr", "add", "198.51.100.1/24", "dev", "v0"]);
        run("ip", &["link", "set", "v0", "up"]);
        run("ip", &["link", "set", "v1", "up"]);
        run("ip", &["neigh", "add", "198.51.100.77", "lladdr", "02:00:00:00:00:77", "dev", "v0"]);
        let listener = listen("[::]:80", ListenOptions { v6_only: Some(false), ..Default::default() });
        let _six = listen("[::1]:81", ListenOptions { v6_only: Some(true), ..Default::default() });
        let _open = [TcpStream::connect("127.0.0.1:80").unwrap(), TcpStream::connect("[::1]:80").unwrap()];
        let _served = [listener.accept().unwrap(), listener.accept().unwrap()];
        let _half = TcpStream::connect("127.0.0.1:80").unwrap();
        drop(listener.accept().unwrap());
        let closed = TcpStream::connect("127.0.0.1:80").unwrap();
        let served = listener.accept().unwrap();
        drop(closed);
        drop(served);
        let pending = Own::open(netwhy_sys::socket::Family::V4, Kind::Tcp).unwrap();
        let _ = pending.connect("198.51.100.77:9".parse().unwrap()).unwrap();
        let _udp = [UdpSocket::bind("127.0.0.1:53").unwrap(), UdpSocket::bind("[::]:54").unwrap()];
        let mut recording = Recording::new("inet_diag.txt", "Answers of inet_diag");
        for (word, protocol) in [("tcp", 6), ("udp", 17)] {
            for family in [2, 10] {
                let request = Request {
                    family,
                    protocol,
                    extensions: u8::MAX,
                    states: !state::BOUND_INACTIVE,
                    id: SocketId::ANY,
                    filter: None,
                };
                recording.dump(
                    word,
                    netwhy_sys::netlink::Protocol::SockDiag,
                    20,
                    &request.payload().unwrap(),
                );
            }
        }
        recording.save();
    });
}
