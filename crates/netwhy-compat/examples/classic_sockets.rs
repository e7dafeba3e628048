//! How long `ss` takes with 100,000 TCP sockets, beside the real one: `cargo xtask bench classic-sockets`.
//!
//! In network namespaces of its own, processes of 19,000 descriptors hold connections over loopback. Then each
//! command line is run by turns with the installed ss and with netwhy (this program, called by that name), its
//! output thrown away; medians of wall time and the largest memory are printed.

use std::error::Error;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use netwhy_collect::Scope;
use netwhy_compat::Session;
use netwhy_sys::isolate::{Isolation, Kind};

/// Connections of one holder: two descriptors each.
const HELD: usize = 9_500;
const SOCKETS: usize = 100_000;
const ROUNDS: usize = 7;

/// Flags, the share of the original's time to reach, and rounds (an original of ten seconds is not run often).
const LINES: &[(&str, f64, usize)] = &[
    ("-tan", 0.5, ROUNDS),
    ("-tin", 0.5, ROUNDS),
    ("-tan dst 127.0.0.1:9", 0.5, ROUNDS),
    ("-tanp", 0.1, 3),
    ("-s", 1.0, ROUNDS),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let done = match words.get(1).map(String::as_str) {
        Some("__ss") => return as_ss(words.get(2..).unwrap_or_default()),
        Some("__hold") => hold(words.get(2).map_or("", String::as_str)),
        Some("__inside") => inside(),
        _ => outside(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("classic_sockets: {error}");
            ExitCode::FAILURE
        }
    }
}

/// This program as `ss`; its peak memory goes to standard error.
fn as_ss(args: &[String]) -> ExitCode {
    let stdout = std::io::stdout();
    let mut out = BufWriter::with_capacity(1 << 16, stdout.lock());
    let mut err = std::io::stderr();
    let mut session = Session {
        called: "ss".to_owned(),
        out: &mut out,
        err: &mut err,
        scope: Scope::here(),
        json: false,
        color: false,
        columns: None,
    };
    let code = netwhy_compat::find("ss").map_or(1, |tool| netwhy_compat::run(tool, &mut session, args));
    let flushed = out.flush();
    eprintln!("peak {}", netwhy_sys::clock::peak_rss());
    if flushed.is_ok() { ExitCode::from(code) } else { ExitCode::FAILURE }
}

fn outside() -> Result<(), Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("__inside");
    let mut child = Isolation::new().new_namespaces(&[Kind::Net]).spawn(command)?;
    match child.wait()?.success() {
        true => Ok(()),
        false => Err("the run in a private namespace failed".into()),
    }
}

/// Holds connections to the listener of a port of its own until standard input ends.
fn hold(port: &str) -> Result<(), Box<dyn Error>> {
    let port: u16 = port.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let mut held: Vec<TcpStream> = Vec::with_capacity(2 * HELD);
    for _ in 0..HELD {
        held.push(TcpStream::connect(("127.0.0.1", port))?);
        held.push(listener.accept()?.0);
    }
    println!("ready");
    std::io::stdout().flush()?;
    // Until the other end is closed.
    let _ = std::io::stdin().lines().count();
    Ok(())
}

fn holder(port: u16) -> Result<Child, Box<dyn Error>> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["__hold", &port.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    match line.trim() {
        "ready" => Ok(child),
        _ => Err(format!("the holder of port {port} did not come up").into()),
    }
}

fn inside() -> Result<(), Box<dyn Error>> {
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status()?;
    if !up.success() {
        return Err("ip link set lo up".into());
    }
    let holders = SOCKETS.div_ceil(2 * HELD);
    let mut children = Vec::new();
    for number in 0..holders {
        children.push(holder(20_000 + u16::try_from(number)?)?);
    }
    println!("{} sockets in {holders} processes", holders * 2 * HELD);
    println!("{:<26} {:>10} {:>10} {:>7} {:>7} {:>9}", "ss", "iproute2", "netwhy", "ratio", "goal", "memory");
    for (flags, goal, rounds) in LINES {
        let words: Vec<&str> = flags.split(' ').collect();
        let (mut real, mut ours, mut peak) = (Vec::new(), Vec::new(), 0);
        for _ in 0..*rounds {
            real.push(timed(Command::new("ss").args(&words), &mut 0)?);
            let mut command = Command::new(std::env::current_exe()?);
            ours.push(timed(command.arg("__ss").args(&words), &mut peak)?);
        }
        let (real, ours) = (median(real), median(ours));
        let ratio = ours.as_secs_f64() / real.as_secs_f64();
        let mark = if ratio <= *goal { "" } else { "  missed" };
        println!(
            "{flags:<26} {:>8.1}ms {:>8.1}ms {ratio:>7.3} {goal:>7} {:>6} MB{mark}",
            real.as_secs_f64() * 1e3,
            ours.as_secs_f64() * 1e3,
            peak >> 20
        );
    }
    for mut child in children {
        drop(child.stdin.take());
        child.wait()?;
    }
    Ok(())
}

fn timed(command: &mut Command, peak: &mut u64) -> Result<Duration, Box<dyn Error>> {
    let started = Instant::now();
    let output = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?.wait_with_output()?;
    let took = started.elapsed();
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if let Some(bytes) = said.lines().find_map(|line| line.strip_prefix("peak ")?.parse::<u64>().ok()) {
        *peak = bytes.max(*peak);
    }
    Ok(took)
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}
