//! What probes cost, beside bpftrace: start to finish, memory, per event, records through the ring. Every figure is
//! taken in rounds that go through all programs in turn; medians are shown, and how many times bpftrace's ours is.
//!
//! Programs: netwhy as released, and `bpftrace` and `bpftrace27` where they are on the path. The latter want a
//! mounted tracefs and get one in a mount namespace of their own.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program that runs probe scripts.
struct Runner {
    name: String,
    words: Vec<String>,
    /// Whether it knows what only netwhy's language has.
    ours: bool,
}

impl Runner {
    fn command(&self, script: &str, more: &[&str]) -> Command {
        let mut words = self.words.iter();
        let mut command = Command::new(words.next().map_or("false", String::as_str));
        command.args(words).args(["-e", script]).args(more);
        command.env("__BPFTRACE_NOTIFY_PROBES_ATTACHED", "1");
        command.stdout(Stdio::null()).stderr(Stdio::piped()).stdin(Stdio::null());
        command
    }
}

/// Runs everything.
pub(super) fn run() -> Result<(), Box<dyn Error>> {
    let runners = runners()?;
    starts(&runners)?;
    events(&runners)?;
    drops(&runners)?;
    records(&runners)
}

fn runners() -> Result<Vec<Runner>, Box<dyn Error>> {
    let root = crate::root();
    let build = ["build", "--release", "--quiet", "--package", "netwhy"];
    if !Command::new("cargo").args(build).current_dir(&root).status()?.success() {
        return Err("the build failed".into());
    }
    let dir = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let netwhy = dir.join("release/netwhy").display().to_string();
    let mut all =
        vec![Runner { name: "netwhy".to_owned(), words: vec![netwhy, "bpftrace".to_owned()], ours: true }];
    let path = std::env::var_os("PATH").unwrap_or_default();
    for name in ["bpftrace", "bpftrace27"] {
        let Some(found) = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
        else {
            println!("{name}: not on the path");
            continue;
        };
        let mounted = "mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; exec \"$@\"";
        let found = found.display().to_string();
        let words = ["unshare", "-m", "sh", "-c", mounted, "sh", &found].map(str::to_owned).to_vec();
        all.push(Runner { name: name.to_owned(), words, ours: false });
    }
    Ok(all)
}

const TEN: &str = "tracepoint:sock:inet_sock_set_state { @[1] = count(); } tracepoint:tcp:tcp_probe { @[2] = count(); } \
    tracepoint:tcp:tcp_retransmit_skb { @[3] = count(); } tracepoint:tcp:tcp_destroy_sock { @[4] = count(); } \
    tracepoint:skb:kfree_skb { @[5] = count(); } tracepoint:skb:consume_skb { @[6] = count(); } \
    tracepoint:net:net_dev_queue { @[7] = count(); } tracepoint:net:netif_receive_skb { @[8] = count(); } \
    tracepoint:napi:napi_poll { @[9] = count(); } tracepoint:udp:udp_fail_queue_rcv_skb { @[10] = count(); }";

/// Name, script, rounds.
const STARTS: [(&str, &str, usize); 5] = [
    ("BEGIN and exit", "BEGIN { exit(); }", 9),
    ("one tracepoint, histogram of the time", "tracepoint:tcp:tcp_probe { @ = hist(nsecs); }", 9),
    ("one tracepoint, histogram of a field", "tracepoint:net:netif_receive_skb { @ = hist(args.len); }", 9),
    ("ten network probes", TEN, 5),
    ("tracepoint:syscalls:sys_enter_*", "tracepoint:syscalls:sys_enter_* { @[comm] = count(); }", 1),
];

/// Start to finish, the process that ends it included, and memory.
fn starts(runners: &[Runner]) -> Result<(), Box<dyn Error>> {
    println!("\n### From start to finish (`-c true`): milliseconds, most MB resident\n");
    for (name, script, rounds) in STARTS {
        let mut times = vec![Vec::new(); runners.len()];
        let mut sizes = vec![0.0_f64; runners.len()];
        for _ in 0..rounds {
            for (at, runner) in runners.iter().enumerate() {
                let started = Instant::now();
                let mut child = runner.command(script, &["-c", "/bin/true"]).stderr(Stdio::null()).spawn()?;
                let mut size: f64 = 0.0;
                while child.try_wait()?.is_none() {
                    size = size.max(resident(child.id()));
                    std::thread::sleep(Duration::from_micros(500));
                }
                times[at].push(started.elapsed().as_secs_f64() * 1e3);
                sizes[at] = sizes[at].max(size);
            }
        }
        let times: Vec<f64> = times.into_iter().map(median).collect();
        print!("{name}:");
        for (at, runner) in runners.iter().enumerate() {
            print!(" {} {:.1} ms {:.1} MB;", runner.name, times[at], sizes[at]);
        }
        println!(" {}", ratios(&times, runners));
    }
    Ok(())
}

/// The most memory a process had, MB.
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn ratios(values: &[f64], runners: &[Runner]) -> String {
    let ours = values.first().copied().unwrap_or(0.0);
    let others = values.iter().zip(runners).skip(1);
    let all: Vec<String> = others
        .map(|(value, runner)| format!("{} / ours = {:.1}", runner.name, value / ours.max(f64::MIN_POSITIVE)))
        .collect();
    all.join(", ")
}

/// A script that is attached; ended with its guard.
struct Attached(Child);

impl Attached {
    fn start(mut command: Command) -> Result<Self, Box<dyn Error>> {
        let mut child = command.spawn()?;
        let said = child.stderr.take().ok_or("no standard error")?;
        let mut lines = BufReader::new(said).lines();
        let mut seen = String::new();
        loop {
            match lines.next() {
                Some(Ok(line)) if line.contains("__BPFTRACE_NOTIFY_PROBES_ATTACHED") => break,
                Some(Ok(line)) => seen.push_str(&line),
                _ => {
                    child.wait()?;
                    return Err(format!("it ended before it was attached: {seen}").into());
                }
            }
        }
        // What it says later must go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Attached(child))
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

const CALLS: u32 = 1_000_000;

/// Nanoseconds of one getppid(2).
fn call() -> f64 {
    let started = Instant::now();
    for _ in 0..CALLS {
        std::hint::black_box(std::os::unix::process::parent_id());
    }
    started.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}

/// What a probe adds to a system call.
fn events(runners: &[Runner]) -> Result<(), Box<dyn Error>> {
    println!("\n### Per event: nanoseconds over a bare getppid(2), {CALLS} calls a round\n");
    let bodies = ["@ = count();", "@ = hist(pid);", "@[pid] = count();"];
    let mut bare = Vec::new();
    let mut over = vec![vec![Vec::new(); runners.len()]; bodies.len()];
    for _ in 0..5 {
        for (which, body) in bodies.iter().enumerate() {
            for (at, runner) in runners.iter().enumerate() {
                let before = call();
                let script = format!("tracepoint:syscalls:sys_enter_getppid {{ {body} }}");
                let attached = Attached::start(runner.command(&script, &[]))?;
                let with = call();
                drop(attached);
                bare.push(before);
                over[which][at].push(with - before);
            }
        }
    }
    println!("bare: {:.0}", median(bare));
    for (which, body) in bodies.iter().enumerate() {
        let values: Vec<f64> = over[which].iter().cloned().map(median).collect();
        print!("{body}");
        for (runner, value) in runners.iter().zip(&values) {
            print!(" {} +{value:.0};", runner.name);
        }
        println!(" {}", ratios(&values, runners));
    }
    Ok(())
}

const PACKETS: u32 = 200_000;

/// Nanoseconds of one datagram to a port of the loopback where nobody listens: each is dropped.
fn refused(socket: &UdpSocket) -> f64 {
    let started = Instant::now();
    for _ in 0..PACKETS {
        // Every second call only says that the packet before was refused.
        let _ = socket.send(b"x");
    }
    started.elapsed().as_secs_f64() * 1e9 / f64::from(PACKETS)
}

/// A drop probe whose filter does not match.
fn drops(runners: &[Runner]) -> Result<(), Box<dyn Error>> {
    println!(
        "\n### A drop probe with a filter that does not match: nanoseconds over bare, a dropped datagram\n"
    );
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let closed = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    socket.connect(closed)?;
    let filtered = "rawtracepoint:kfree_skb /filter \"host 203.0.113.9 and tcp port 81\"/ { @ = count(); }";
    let by_hand = "tracepoint:skb:kfree_skb { if (args.protocol == 0x86dd) { @ = count(); } }";
    let mut over = vec![Vec::new(); runners.len()];
    let mut bare = Vec::new();
    for _ in 0..5 {
        for (at, runner) in runners.iter().enumerate() {
            let before = refused(&socket);
            let script = if runner.ours { filtered } else { by_hand };
            let attached = Attached::start(runner.command(script, &[]))?;
            let with = refused(&socket);
            drop(attached);
            bare.push(before);
            over[at].push(with - before);
        }
    }
    println!(
        "bare: {:.0} (netwhy: a pcap expression; bpftrace, which has none: one comparison)",
        median(bare)
    );
    for (runner, values) in runners.iter().zip(over) {
        print!("{} +{:.0}; ", runner.name, median(values));
    }
    println!();
    Ok(())
}

/// Records through the ring to text.
fn records(runners: &[Runner]) -> Result<(), Box<dyn Error>> {
    println!("\n### Records through the ring to standard output, {CALLS} of them\n");
    for runner in runners {
        for (name, body) in [
            ("printf", "printf(\"%d %d\\n\", pid, nsecs);"),
            ("emit", "emit(\"call\", { pid: pid, time: nsecs });"),
        ] {
            if name == "emit" && !runner.ours {
                continue;
            }
            let script =
                format!("tracepoint:syscalls:sys_enter_getppid /pid == {}/ {{ {body} }}", std::process::id());
            let file = std::env::temp_dir().join(format!("netwhy-bench-{}", std::process::id()));
            let mut command = runner.command(&script, &[]);
            command.stdout(std::fs::File::create(&file)?);
            let attached = Attached::start(command)?;
            let before = ticks(attached.0.id());
            let started = Instant::now();
            call();
            let made = started.elapsed().as_secs_f64();
            // Until what is in the ring has been written.
            let mut last = u64::MAX;
            while std::fs::metadata(&file)?.len() != last {
                last = std::fs::metadata(&file)?.len();
                std::thread::sleep(Duration::from_millis(200));
            }
            let cpu = ticks(attached.0.id()) - before;
            drop(attached);
            let text = BufReader::new(std::fs::File::open(&file)?);
            let lines =
                text.lines().map_while(Result::ok).filter(|line| line.contains(char::is_numeric)).count();
            std::fs::remove_file(&file)?;
            println!(
                "{} {name}: {:.2} million calls a second, {lines} records written ({:.1} %), {:.2} microseconds of its CPU a record",
                runner.name,
                f64::from(CALLS) / made / 1e6,
                lines as f64 * 100.0 / f64::from(CALLS),
                cpu * 1e4 / (lines as f64).max(1.0),
            );
        }
    }
    Ok(())
}

/// Processor time of a process in hundredths of a second (`/proc/PID/stat`, utime and stime).
fn ticks(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit(") ").next().unwrap_or_default();
    rest.split(' ').skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum()
}
