//! What reading costs: `cargo test --test rt cost -- --ignored --nocapture`. Prints, and judges nothing.

use std::time::Instant;

use netwhy_collect::Collector;
use netwhy_collect::neigh::NeighFilter;

use crate::space::{in_namespace, run};

/// The median of some runs, in microseconds.
fn median(mut work: impl FnMut()) -> u128 {
    let mut times: Vec<_> = (0..15)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_micros()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
#[ignore = "prints times"]
fn cost() {
    in_namespace(&["ip"], || {
        run("ip link set lo up");
        for pair in 0..3 {
            run(&format!(
                "ip link add v{pair} type veth peer name w{pair}
                 ip link set v{pair} up
                 ip link set w{pair} up
                 ip addr add 198.51.100.{pair}/32 dev v{pair}"
            ));
        }
        for number in 0..50 {
            run(&format!("ip route add 203.0.113.{number}/32 dev v0"));
        }
        println!("collector {} us", median(|| drop(Collector::here().unwrap())));
        let c = Collector::here().unwrap();
        let reads: [(&str, &dyn Fn()); 16] = [
            ("links", &|| drop(c.links())),
            ("addresses", &|| drop(c.addresses())),
            ("routes", &|| drop(c.routes())),
            ("rules", &|| drop(c.rules())),
            ("nexthops", &|| drop(c.nexthops())),
            ("mib", &|| drop(c.mib())),
            ("sysctls", &|| drop(c.sysctls())),
            ("neighbours", &|| drop(c.neighbours(NeighFilter::All))),
            ("neigh tables", &|| drop(c.neigh_tables())),
            ("tc", &|| drop(c.tc(None))),
            ("fdb", &|| drop(c.fdb())),
            ("bpf", &|| drop(c.bpf(None, &[]))),
            ("xfrm", &|| drop(c.xfrm())),
            ("softnet", &|| drop(c.softnet())),
            ("sockstat", &|| drop(c.sockstat())),
            ("resolver", &|| drop(c.resolver("db"))),
        ];
        for (name, read) in reads {
            println!("{name} {} us", median(read));
        }
        let all = median(|| {
            let c = Collector::here().unwrap();
            drop((c.links(), c.addresses(), c.routes(), c.rules(), c.mib(), c.sysctls()));
        });
        println!("links + addresses + routes + rules + mib + sysctls {all} us");
    });
}

/// Large tables: 100,000 routes, 5,000 neighbours, 300 devices.
#[test]
#[ignore = "prints times"]
fn cost_of_large_tables() {
    in_namespace(&["ip"], || {
        let batch = |lines: String| {
            let path = std::env::temp_dir().join(format!("netwhy-batch-{}", std::process::id()));
            std::fs::write(&path, lines).unwrap();
            run(&format!("ip -force -batch {}", path.display()));
            std::fs::remove_file(path).unwrap();
        };
        run("ip link set lo up
             ip link add v0 type veth peer name v1
             ip link set v0 up
             ip link set v1 up
             ip addr add 198.51.100.1/24 dev v0");
        batch((0..150).map(|n| format!("link add a{n} type veth peer name b{n}\n")).collect());
        batch(
            (0..100_000)
                .map(|n| format!("route add 10.{}.{}.{}/32 dev v0\n", n >> 16, n >> 8 & 255, n & 255))
                .collect(),
        );
        batch(
            (0..5_000)
                .map(|n| {
                    format!(
                        "neigh add 10.9.{}.{} lladdr 02:00:00:00:00:01 dev v0 nud permanent\n",
                        n >> 8,
                        n & 255
                    )
                })
                .collect(),
        );
        let c = Collector::here().unwrap();
        let v0 = c.links().value().unwrap().by_name("v0").unwrap().index;
        let wanted = [(v0, "10.9.1.1".parse().unwrap())];
        let key = [netwhy_facts::route::FibKey::to("10.0.3.7".parse().unwrap())];
        let reads: [(&str, &dyn Fn()); 9] = [
            ("links", &|| drop(c.links())),
            ("routes", &|| assert!(!c.routes().value().unwrap().complete)),
            ("fib", &|| drop(c.fib(&key))),
            ("neighbours all", &|| drop(c.neighbours(NeighFilter::All))),
            ("neighbours of a device", &|| drop(c.neighbours(NeighFilter::Devices(&[v0 + 1])))),
            ("one neighbour", &|| {
                assert_eq!(c.neighbours(NeighFilter::Entries(&wanted)).value().unwrap().0.len(), 1)
            }),
            ("sysctls", &|| drop(c.sysctls())),
            ("tc", &|| drop(c.tc(None))),
            ("bpf", &|| drop(c.bpf(None, &[]))),
        ];
        for (name, read) in reads {
            println!("{name} {} us", median(read));
        }
    });
}
