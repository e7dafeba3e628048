//! The walker against the kernel: random rulesets, routes and packets in private namespaces. For each packet
//! the predicted fate must be the observed one, or the walker must have said that it cannot know.
//!
//! `WALKER_CASES`, `WALKER_SWITCH_CASES` and `WALKER_SEED` change how many and which.
//!
//! What cannot be observed here, and is not held against the kernel: whether the answer of a socket finds its way back
//! through a translation (seen as silence); datagrams of IPv6 whose traffic class was rewritten on their way in: the
//! kernel then finds the checksum it had verified before to be wrong and drops them (Udp6InCsumErrors), which is told
//! apart by that counter; which of the copies of a mirrored frame is the frame; ebtables and the matchall, flower and
//! gact of tc, which the kernel of this machine lacks.

mod field;
mod legacy;
mod observe;
mod packets;
mod rng;
mod routes;
mod rules;
mod switch;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use netwhy_collect::neigh::NeighFilter;
use netwhy_collect::{Collector, Scope};
use netwhy_facts::socket::Sockets;
use netwhy_facts::{Facts, Family, Flow, Proto, Question, Reading, Role};
use netwhy_sys::netns::NetnsRef;
use netwhy_sys::socket::{Kind, Socket};
use netwhy_sys::{Errno, ioctl};
use netwhy_walk::{End, Origin, Packet, Path, predict};

use field::{Field, INSIDE, sysctl};
use observe::{Seen, agrees, classify};
use packets::Shot;
use rng::Rng;
use rules::{PORTS, Way};

/// Packets sent through one ruleset.
const SHOTS: usize = 10;

/// Counts of one feature.
#[derive(Default)]
struct Row {
    cases: usize,
    insufficient: usize,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// Keeps the calling thread, and those it starts, on one processor: receiving then happens in order.
fn stay_on_one_processor() {
    let link = std::fs::read_link("/proc/thread-self").unwrap();
    let thread = link.file_name().unwrap().to_string_lossy().into_owned();
    let out = std::process::Command::new("taskset").args(["-cp", "0", &thread]).output();
    assert!(out.is_ok_and(|o| o.status.success()), "taskset keeps the test on one processor");
}

fn collector_of(netns: &netwhy_sys::netns::Netns) -> Collector {
    let fd = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(netns));
    let path = format!("/proc/{}/fd/{fd}", std::process::id());
    Collector::open(Scope::of(NetnsRef::Path(path.into()))).unwrap()
}

fn known<T>(reading: Reading<T>) -> Reading<T> {
    assert!(reading.is_known(), "{:?}", reading.absence());
    reading
}

/// What does not change between rulesets.
fn standing_facts(c: &Collector) -> Facts {
    let mut f = Facts::new();
    f.put(known(c.links()));
    f.put(known(c.addresses()));
    f.put(known(c.neighbours(NeighFilter::All)));
    f.put(known(c.bpf(None, &[])));
    let mut all = Sockets::default();
    for proto in [Proto::Tcp, Proto::Udp] {
        for port in PORTS.split_whitespace() {
            for dst in ["198.51.100.1", "2001:db8:1::1"] {
                let flow = Flow {
                    proto,
                    src: None,
                    sport: None,
                    dst: dst.parse().unwrap(),
                    dport: port.parse().unwrap(),
                    mark: 0,
                    uid: None,
                    dev: None,
                };
                let Reading::Known { value, .. } = known(c.sockets(&flow, Role::Inbound)) else { continue };
                for s in value.sockets {
                    if s.rport == 0 && !all.sockets.iter().any(|o| o.inode == s.inode) {
                        all.sockets.push(s);
                    }
                }
            }
        }
    }
    f.put(Reading::known(all, "SOCK_DIAG_BY_FAMILY", 1));
    f
}

fn changing_facts(c: &Collector, base: &Facts) -> Facts {
    let mut f = base.clone();
    f.put(known(c.nft()));
    f.put(known(c.routes()));
    f.put(known(c.rules()));
    f.put(known(c.nexthops()));
    f.put(known(c.sysctls()));
    f.put(known(c.xtables()));
    f
}

struct Bench {
    field: Field,
    collector: Collector,
    indices: [u32; 3],
    next_id: u32,
    next_port: u16,
    bad_checksums: u64,
}

impl Bench {
    fn fresh(&mut self) -> (u32, u16) {
        self.next_id = self.next_id.wrapping_add(0x0001_0101);
        self.next_port = if self.next_port >= 60_000 { 20_000 } else { self.next_port + 1 };
        (self.next_id, self.next_port)
    }

    /// What came to the sockets of m.
    fn received(&self, id: u32) -> bool {
        let mut buffer = [0u8; 2048];
        let mut hit = false;
        for socket in &self.field.services.udp {
            while let Ok(n) = socket.recv(&mut buffer) {
                hit |= buffer[..n].windows(4).any(|w| w == id.to_be_bytes());
            }
        }
        hit
    }

    fn fire_in(&mut self, shot: &Shot, at: usize) -> Seen {
        self.field.inject(at, shot.packet.dst.is_ipv6(), &shot.bytes());
        let frames = self.field.settle();
        let seen = classify(&frames, shot, false);
        if self.received(shot.id) {
            return Seen::Delivered;
        }
        if seen.is_none() && shot.packet.proto == 17 && shot.packet.dst.is_ipv6() && self.more_bad_checksums()
        {
            return Seen::BadChecksum;
        }
        seen.unwrap_or(Seen::Nothing)
    }

    /// Whether UDP over IPv6 found a wrong checksum since this was last asked.
    fn more_bad_checksums(&mut self) -> bool {
        let text =
            self.field.m.run(|| std::fs::read_to_string("/proc/thread-self/net/snmp6").unwrap()).unwrap();
        let counter =
            text.lines().find_map(|line| line.strip_prefix("Udp6InCsumErrors")?.trim().parse().ok());
        let now: u64 = counter.unwrap_or(0);
        std::mem::replace(&mut self.bad_checksums, now) < now
    }

    fn fire_out(&mut self, shot: &Shot) -> Seen {
        let p = shot.packet.clone();
        let (payload, raw) = (shot.payload(), shot.transport());
        let family =
            if p.dst.is_ipv6() { netwhy_sys::socket::Family::V6 } else { netwhy_sys::socket::Family::V4 };
        let outcome = self
            .field
            .m
            .run(move || -> netwhy_sys::Result<(Socket, Option<Errno>)> {
                let kind = match p.proto {
                    6 => Kind::Tcp,
                    17 => Kind::Udp,
                    n => Kind::Raw(n),
                };
                let socket = Socket::open(family, kind)?;
                if p.mark != 0 {
                    socket.set_mark(p.mark)?;
                }
                if p.tos != 0 {
                    socket.set_traffic_class(p.tos)?;
                }
                let port = if matches!(p.proto, 6 | 17) { p.sport } else { 0 };
                if port != 0 {
                    socket.bind(SocketAddr::new(p.src, port))?;
                }
                socket.queue_errors(true)?;
                socket.connect(SocketAddr::new(p.dst, if port == 0 { 0 } else { p.dport }))?;
                let sent = match p.proto {
                    6 => Ok(0),
                    17 => socket.send(&payload),
                    _ => socket.send(&raw),
                };
                Ok((socket, sent.err().map(|e| e.errno)))
            })
            .unwrap();
        let frames = self.field.settle();
        let mut delivered = self.received(shot.id);
        let seen = classify(&frames, shot, true);
        let (socket, refused) = match outcome {
            Ok(got) => got,
            Err(error) => return Seen::Error(error.errno),
        };
        // m's own answer to an echo request that stayed here.
        let mut buffer = [0u8; 2048];
        while !matches!(shot.packet.proto, 6 | 17)
            && let Ok(Some(got)) = socket.receive(&mut buffer)
        {
            let bytes = buffer.get(..got.length).unwrap_or_default();
            let icmp = if shot.packet.proto == 1 { bytes.get(20..).unwrap_or_default() } else { bytes };
            let reply = matches!((shot.packet.proto, icmp.first()), (1, Some(0)) | (58, Some(129)));
            delivered |= reply && bytes.windows(4).any(|w| w == shot.id.to_be_bytes());
        }
        if delivered {
            return Seen::Delivered;
        }
        if let Some(seen) = seen {
            return seen;
        }
        if shot.packet.proto == 6 && socket.peer().is_ok() {
            return Seen::Delivered;
        }
        if let Ok(Some(error)) = socket.take_queued_error() {
            return Seen::Error(error.errno);
        }
        match (refused, socket.take_error()) {
            (Some(errno), _) | (None, Ok(Some(errno))) => Seen::Error(errno),
            _ => Seen::Nothing,
        }
    }

    /// Predicts a packet from outside.
    fn predict_in(&self, facts: &Facts, shot: &Shot, at: usize) -> Path {
        let mut packet = shot.packet.clone();
        packet.mac_src = Some(self.field.peer_mac(at));
        packet.mac_dst = Some(self.field.own_mac(at));
        predict(facts, packet, Origin::Arriving { ifindex: self.indices[at] })
    }
}

/// The answer the far end would give to what came out.
fn answer(seen: &Seen, shot: &Shot, id: u32) -> Option<(Shot, usize)> {
    let Seen::Sent { dev, src, dst, sport, dport, .. } = seen else { return None };
    let at = INSIDE.iter().position(|d| d == dev)?;
    let mut packet =
        Packet { src: *src, dst: *dst, sport: *sport, dport: *dport, ..shot.packet.clone() }.reply_to();
    packet.ct = netwhy_walk::CtHypothesis::New;
    match packet.proto {
        6 if shot.packet.tcp_flags != 0x02 => return None,
        6 => packet.len = if dst.is_ipv6() { 80 } else { 60 },
        1 | 58 if !matches!(shot.packet.icmp_type, 8 | 128) => return None,
        _ => {}
    }
    packet.tos = 0;
    Some((Shot { packet, id, ack: shot.id.wrapping_add(1) }, at))
}

fn question(shot: &Shot) -> (Question, Flow) {
    let p = &shot.packet;
    let proto = match p.proto {
        6 => Proto::Tcp,
        17 => Proto::Udp,
        _ => Proto::Icmp,
    };
    let flow = Flow {
        proto,
        src: Some(p.src),
        sport: Some(p.sport),
        dst: p.dst,
        dport: p.dport,
        mark: 0,
        uid: None,
        dev: None,
    };
    let question = Question {
        scenario: netwhy_facts::question::Scenario::Connect,
        target_text: String::new(),
        target: netwhy_facts::question::Target {
            host: p.dst.to_string(),
            literal: Some(p.dst),
            zone: None,
            port: p.dport,
            proto,
            app: netwhy_facts::question::App::None,
            path: String::new(),
        },
        role: Role::Transit,
        from: Some(p.src),
        family: Some(Family::of(&p.dst)),
        flows: vec![flow.clone()],
        budget_ms: 5000,
        asked_with: Vec::new(),
    };
    (question, flow)
}

#[test]
fn the_walker_says_what_the_kernel_does() {
    let seed = number("WALKER_SEED", 20_261_123);
    let wanted = usize::try_from(number("WALKER_CASES", 2_400)).unwrap();
    println!("seed {seed}, at least {wanted} cases");
    let began = Instant::now();
    stay_on_one_processor();
    let field = match Field::build() {
        Ok(field) => field,
        Err(error) => {
            println!("skipped: needs network namespaces of its own ({error})");
            return;
        }
    };
    let collector = collector_of(&field.m);
    let indices = field.m.run(|| INSIDE.map(|d| ioctl::index_of(d).unwrap())).unwrap();
    let mut bench =
        Bench { field, collector, indices, next_id: 0xa500_0000, next_port: 20_000, bad_checksums: 0 };
    bench
        .field
        .m
        .run(|| {
            sysctl("net.ipv4.ip_forward", "1");
            sysctl("net.ipv6.conf.all.forwarding", "1");
            for dev in ["all", "in0", "out0", "out1"] {
                sysctl(&format!("net.ipv4.conf.{dev}.rp_filter"), "0");
            }
        })
        .unwrap();
    let base = standing_facts(&bench.collector);
    let mut rng = Rng::new(seed);
    let mut rows: BTreeMap<&'static str, Row> = BTreeMap::new();
    let (mut cases, mut insufficient, mut stolen) = (0usize, 0usize, 0usize);
    let mut wrong: Vec<String> = Vec::new();
    let mut ends: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    let mut round = 0;
    while cases < wanted && wrong.len() < 5 {
        round += 1;
        let way = if rng.chance(65) { Way::In } else { Way::Out };
        let mut ruleset = if rng.chance(12) {
            rules::Ruleset { text: "flush ruleset\n".into(), ..Default::default() }
        } else {
            rules::ruleset(&mut rng, way)
        };
        // Legacy tables instead of nftables, or beside them.
        let legacy = rng.chance(30).then(|| legacy::legacy(&mut rng, way));
        if legacy.is_some() && rng.chance(60) {
            ruleset = rules::Ruleset { text: "flush ruleset\n".into(), ..Default::default() };
        }
        let mut legacy_text = String::new();
        let routing = if rng.chance(45) { routes::routing(&mut rng) } else { routes::Routing::default() };
        bench
            .field
            .m
            .run(|| {
                ruleset.text = load(std::mem::take(&mut ruleset.text));
                if let Some(legacy) = &legacy {
                    legacy_text = legacy::load(legacy);
                }
                ip(&routing.apply);
                for (name, value, _) in &routing.sysctls {
                    sysctl(name, value);
                }
            })
            .unwrap();
        let mut facts = changing_facts(&bench.collector, &base);
        let mut features: Vec<&'static str> = ruleset.features.clone();
        features.extend(&routing.features);
        features.extend(legacy.iter().flat_map(|l| &l.features));
        features.push(if way == Way::In { "arriving packets" } else { "own packets" });
        let mut judge = |bench: &Bench,
                         path: &Path,
                         seen: &Seen,
                         shot: &Shot,
                         local: bool,
                         what: &'static str| {
            let _ = bench;
            cases += 1;
            let open = matches!(path.end, End::Insufficient { .. });
            if let End::Insufficient { what, .. } = &path.end {
                insufficient += 1;
                let reason: String = what.split(',').next().unwrap_or(what).chars().take(60).collect();
                *reasons.entry(reason).or_default() += 1;
            }
            if matches!(path.end, End::Stolen { .. }) {
                stolen += 1;
            }
            for feature in features.iter().copied().chain([what]) {
                let row = rows.entry(feature).or_default();
                row.cases += 1;
                row.insufficient += usize::from(open);
            }
            *ends.entry(end_name(&path.end)).or_default() += 1;
            if let Err(why) = agrees(path, seen, shot, local) {
                let steps: Vec<String> =
                    path.steps.iter().map(|s| format!("    {:?}: {}", s.stage, s.text)).collect();
                wrong.push(format!(
                    "round {round} ({what}): {why}\n  packet {:?}\n  id {:#x}\n{}\n  assumptions {:?}\n{}\n{legacy_text}\n{}",
                    shot.packet,
                    shot.id,
                    steps.join("\n"),
                    path.assumptions,
                    ruleset.text,
                    routing.text()
                ));
            }
        };
        for _ in 0..SHOTS {
            if ruleset.remembers {
                facts = changing_facts(&bench.collector, &base);
            }
            let (id, port) = bench.fresh();
            if way == Way::Out {
                let shot = packets::leaving(&mut rng, id, port);
                let path = predict(&facts, shot.packet.clone(), Origin::Local);
                let seen = bench.fire_out(&shot);
                judge(&bench, &path, &seen, &shot, true, "first packets");
                continue;
            }
            let shot = packets::arriving(&mut rng, id, port);
            let path = bench.predict_in(&facts, &shot, 0);
            let seen = bench.fire_in(&shot, 0);
            judge(&bench, &path, &seen, &shot, false, "first packets");
            if !path.passes() || ruleset.remembers || !rng.chance(50) {
                continue;
            }
            // The answer, predicted from the forward path alone and from the kernel's own tracking entry.
            let (id, _) = bench.fresh();
            let Some((back, at)) = answer(&seen, &shot, id) else { continue };
            if at == 0 {
                continue;
            }
            let (q, flow) = question(&shot);
            let mut facts = facts.clone();
            facts.put(bench.collector.ct_entries(&flow));
            let from_entry = bench.predict_in(&facts, &back, at);
            let from_forward = netwhy_walk::reply(&facts, &q, &flow, &path);
            let seen_back = bench.fire_in(&back, at);
            judge(&bench, &from_entry, &seen_back, &back, false, "answers");
            let same = std::mem::discriminant(&from_forward.end) == std::mem::discriminant(&from_entry.end);
            if !same
                && !matches!(from_forward.end, End::Insufficient { .. })
                && !matches!(from_entry.end, End::Insufficient { .. })
            {
                judge(&bench, &from_forward, &seen_back, &back, false, "answers from forward");
            }
            // And the client's next packet.
            let (id, _) = bench.fresh();
            let mut again = Shot { packet: shot.packet.clone(), id, ack: back.id.wrapping_add(1) };
            if again.packet.proto == 6 {
                again.packet.tcp_flags = 0x10;
                again.packet.len -= 20;
                // Inside the window: the connection's own numbers.
                again.id = shot.id.wrapping_add(1);
            }
            facts.put(bench.collector.ct_entries(&flow));
            let path = bench.predict_in(&facts, &again, 0);
            let seen = bench.fire_in(&again, 0);
            judge(&bench, &path, &seen, &again, false, "later packets");
        }
        bench
            .field
            .m
            .run(|| {
                ip(&routing.revert);
                if let Some(legacy) = &legacy {
                    legacy::clear(legacy.v6);
                }
                for (name, _, back) in &routing.sysctls {
                    sysctl(name, back);
                }
                if routing
                    .sysctls
                    .iter()
                    .any(|(n, ..)| n.ends_with("forward") || n.ends_with("all.forwarding"))
                {
                    sysctl("net.ipv4.ip_forward", "1");
                    sysctl("net.ipv6.conf.all.forwarding", "1");
                }
            })
            .unwrap();
    }
    let _ = bench.field.outside();
    println!("{:<24} {:>7} {:>7} {:>12}", "feature", "cases", "agreed", "insufficient");
    for (feature, row) in &rows {
        println!(
            "{feature:<24} {:>7} {:>7} {:>12}",
            row.cases,
            row.cases - row.insufficient,
            row.insufficient
        );
    }
    println!(
        "{:<24} {cases:>7} {:>7} {insufficient:>12}   handed away {stolen}, disagreed {}, {:.1} s",
        "all",
        cases - insufficient - wrong.len(),
        wrong.len(),
        began.elapsed().as_secs_f64()
    );
    println!("ends: {ends:?}");
    println!("insufficient because: {reasons:?}");
    for w in &wrong {
        println!("----\n{w}");
    }
    assert!(wrong.is_empty(), "{} predictions were wrong (seed {seed})", wrong.len());
    assert!(insufficient * 10 < cases, "{insufficient} of {cases} were insufficient");
}

/// Loads a ruleset without the rules nft or the kernel refuses (a family that contradicts another's, a statement
/// at a hook that does not have it), and returns what was loaded.
fn load(mut text: String) -> String {
    for _ in 0..40 {
        let Err(said) = field::try_tool("nft", &["-f", "-"], &text) else { return text };
        let refused: Vec<usize> = said
            .lines()
            .filter_map(|l| l.strip_prefix("/dev/stdin:")?.split(':').next()?.parse().ok())
            .collect();
        let kept = ["type ", "oif lo ", "oifname \"in0\" accept", "meta protocol 0x88b5"];
        let is_rule = |l: &str| l.starts_with("\t\t") && !kept.iter().any(|k| l.trim_start().starts_with(k));
        let before = text.lines().count();
        text = text
            .lines()
            .enumerate()
            .filter(|(n, l)| !(refused.contains(&(n + 1)) && is_rule(l)))
            .map(|(_, l)| format!("{l}\n"))
            .collect();
        assert!(text.lines().count() < before, "nft: {said}\n{text}");
    }
    panic!("no ruleset is left:\n{text}");
}

/// Runs both families' lines.
fn ip(scripts: &[String; 2]) {
    for (family, script) in ["-4", "-6"].iter().zip(scripts).filter(|(_, s)| !s.is_empty()) {
        // A route may take away the way to another's gateway, which the kernel then refuses: it is left out.
        let _ = field::try_tool("ip", &[family, "-force", "-batch", "-"], script);
    }
}

fn end_name(end: &End) -> &'static str {
    match end {
        End::Delivered { .. } => "delivered",
        End::Sent { .. } => "sent",
        End::Dropped { .. } => "dropped",
        End::Rejected { .. } => "rejected",
        End::NoSocket { .. } => "no socket",
        End::Unroutable { .. } => "unroutable",
        End::Unresolved { .. } => "unresolved",
        End::Stolen { .. } => "stolen",
        End::Insufficient { .. } => "insufficient",
    }
}
