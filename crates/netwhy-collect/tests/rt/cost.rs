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
