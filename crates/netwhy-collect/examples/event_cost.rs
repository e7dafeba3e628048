//! What the kernel's events cost a question: the time to attach the probes, and to detach them and read what they saw.
//!
//! Run it in release, as root: `cargo run --release -p netwhy-collect --example event_cost`. The first round is what a
//! question pays; each needs a process of its own, as nothing is kept between them.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use netwhy_collect::Collector;
use netwhy_collect::event::{EventFilter, EventFlow};
use netwhy_sys::clock;

fn main() {
    let target: SocketAddr = ([127, 0, 0, 1], 1).into();
    let collector = Collector::here().expect("the namespace of this process");
    let flow = EventFlow { protocol: 6, target: target.ip(), port: target.port(), other: None };
    let filter = EventFilter { flows: vec![flow], next_hops: vec![target.ip()] };
    for round in ["first", "second"] {
        let (start, cpu) = (Instant::now(), clock::cpu_time());
        let ready = collector.prepare_events(6);
        // A question reads routes, rules and sockets meanwhile.
        std::thread::sleep(Duration::from_millis(30));
        let prepared_cpu = clock::cpu_time() - cpu;
        println!("{round}: prepared beside other work, {prepared_cpu:?} CPU ({:?} with it)", start.elapsed());
        let (start, cpu) = (Instant::now(), clock::cpu_time());
        let watch = ready.watch(filter.clone());
        let (attached, attached_cpu) = (start.elapsed(), clock::cpu_time() - cpu);
        if let Some(absence) = watch.absence() {
            println!("no events: {absence:?}");
            return;
        }
        let refused = TcpStream::connect_timeout(&target, Duration::from_secs(1));
        let (start, cpu) = (Instant::now(), clock::cpu_time());
        let seen = watch.end();
        let (ended, ended_cpu) = (start.elapsed(), clock::cpu_time() - cpu);
        let events = seen.value().map_or(0, |seen| seen.events.len());
        println!(
            "{round}: attach {attached:?} ({attached_cpu:?} CPU), end {ended:?} ({ended_cpu:?} CPU), {events} events of {refused:?}"
        );
    }
}
