//! From elsewhere and from below: another namespace's facts, and what is left without privilege.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

use netwhy_collect::{Collector, Scope};
use netwhy_facts::question::Role;
use netwhy_facts::{Flow, Proto, Reading};
use netwhy_sys::caps::{self, CapSet, Capability};
use netwhy_sys::netns::{self, NetnsRef};

use crate::space::{known, run, with};

const TOOLS: &[&str] = &["ip", "nft", "iptables-legacy", "ipset", "conntrack"];

fn flow(port: u16, source: Option<u16>) -> Flow {
    let here = "127.0.0.1".parse().unwrap();
    Flow {
        proto: Proto::Tcp,
        src: Some(here),
        sport: source,
        dst: here,
        dport: port,
        mark: 0,
        uid: None,
        dev: None,
    }
}

/// Something of everything in the calling thread's namespace.
fn furnish() -> (TcpListener, TcpStream) {
    run(
        "nft",
        &[
            "add table inet t; add chain inet t c { type filter hook output priority 0; }; add rule inet t c ct state new counter",
        ],
    );
    run("ipset", &["create", "s", "hash:ip"]);
    run("iptables-legacy", &["-A", "INPUT", "-m", "set", "--match-set", "s", "src", "-j", "DROP"]);
    let listener = TcpListener::bind("127.0.0.1:8200").unwrap();
    let client = TcpStream::connect("127.0.0.1:8200").unwrap();
    (listener, client)
}

#[test]
fn another_namespace_is_read_from_outside() {
    with(TOOLS, || {
        let (_listener, client) = furnish();
        let port = client.local_addr().unwrap().port();
        let own = PathBuf::from("/proc/thread-self/ns/net");
        let id = netns::current().unwrap();
        // The link is followed here; outside it would lead to the outside.
        let task = std::fs::read_link("/proc/thread-self").unwrap();
        assert!(own.exists());
        let path = PathBuf::from("/proc").join(task).join("ns/net");
        netns::in_new_netns(|| {
            assert_ne!(netns::current().unwrap(), id);
            let there = Collector::open(Scope::of(NetnsRef::Path(path))).unwrap();
            assert_eq!(known(there.nft()).rules.len(), 1);
            let tables = known(there.xtables());
            assert_eq!(tables.0.len(), 1);
            let sets = known(there.ipsets_of(&Reading::known(tables, "", 0), &Reading::NotAsked));
            assert_eq!(sets.0[0].name, "s");
            assert_eq!(known(there.conntrack()).count, 1);
            assert_eq!(known(there.ct_entries(&flow(8200, Some(port)))).entries.len(), 1);
            let sockets = known(there.sockets(&flow(8200, Some(port)), Role::Client));
            assert!(sockets.sockets.iter().any(|one| one.state == "LISTEN" && one.netns == 0));
            assert_eq!(sockets.to_target.get("ESTAB"), Some(&1));
            // And here there is nothing of it.
            let here = Collector::here().unwrap();
            assert!(known(here.nft()).tables.is_empty() && known(here.xtables()).0.is_empty());
            assert!(known(here.sockets(&flow(8200, None), Role::Inbound)).sockets.is_empty());
        })
        .unwrap();
    });
}

#[test]
fn without_privilege_each_refusal_names_what_is_missing() {
    with(TOOLS, || {
        let (_listener, client) = furnish();
        let port = client.local_addr().unwrap().port();
        let here = netns::current().unwrap();
        // A thread of its own gives its capabilities up; it is born in the same namespace.
        let readings = std::thread::spawn(move || {
            assert_eq!(netns::current().unwrap(), here);
            caps::keep_only(CapSet::of(&[])).unwrap();
            let collector = Collector::here().unwrap();
            let question = flow(8200, Some(port));
            let needs = |reading: Reading<()>| match reading {
                Reading::Denied { needs } => needs,
                other => format!("{other:?}"),
            };
            assert_eq!(needs(collector.nft().map(drop)), "CAP_NET_ADMIN");
            assert_eq!(needs(collector.ct_entries(&question).map(drop)), "CAP_NET_ADMIN");
            let names = BTreeSet::from(["s".to_owned()]);
            assert_eq!(needs(collector.ipsets(&names).map(drop)), "CAP_NET_ADMIN");
            assert!(needs(collector.foreign_sockets(&question).map(drop)).starts_with("CAP_SYS_ADMIN"));
            // Which tables there are root may know; their rules not.
            let tables = known(collector.xtables());
            assert_eq!(needs(tables.0[0].chains.clone().map(drop)), "CAP_NET_ADMIN");
            (collector.conntrack(), collector.sockets(&question, Role::Client))
        });
        let (tracking, sockets) = readings.join().unwrap();
        let tracking = known(tracking);
        assert!(tracking.count == 1 && tracking.active && tracking.settings.contains_key("tcp_loose"));
        let sockets = known(sockets).sockets;
        let own = sockets.iter().find(|one| one.lport == port).unwrap();
        assert!(own.tcp.is_some() && own.mem.is_some(), "anyone may see these");
        assert_eq!(own.mark, None, "but marks only CAP_NET_ADMIN");
        // This process may look into itself.
        assert!(known(own.owners.clone()).iter().any(|owner| owner.pid == std::process::id()));
    });
}

#[test]
fn with_hidden_namespaces_no_listener_elsewhere_is_not_a_finding() {
    with(TOOLS, || {
        let here = netns::current().unwrap();
        let ask = move |keep: CapSet| {
            let asking = std::thread::spawn(move || {
                assert_eq!(netns::current().unwrap(), here);
                caps::keep_only(keep).unwrap();
                let hidden = netns::list().unwrap().hidden;
                // Nobody listens on port 1 anywhere on a machine that runs these tests.
                (hidden, Collector::here().unwrap().foreign_sockets(&flow(1, None)))
            });
            asking.join().unwrap()
        };
        let (hidden, reading) = ask(CapSet::of(&[Capability::SysAdmin]));
        assert!(hidden > 0, "the first process keeps its namespace from us");
        let Reading::Denied { needs } = reading else { panic!("{reading:?}") };
        assert!(needs.contains("CAP_SYS_PTRACE"), "{needs}");
        let (hidden, reading) = ask(CapSet::of(&[Capability::SysAdmin, Capability::SysPtrace]));
        if hidden == 0 {
            assert_eq!(known(reading).0, []);
        } else {
            println!("skipped in part: {hidden} processes stay hidden even so");
        }
    });
}
