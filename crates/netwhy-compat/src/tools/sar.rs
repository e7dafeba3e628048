//! `sar -n KEYS INTERVAL [COUNT]`: rates of network counters. Forms from sar(1) and its observed output. The files
//! sysstat's collector writes are not read: an interval is needed.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use netwhy_collect::Collector;
use netwhy_facts::Reading;
use netwhy_render::escape::escape_terminal;
use netwhy_sys::{clock, signal};

use crate::flags::{self, Flag, Style};
use crate::{Session, Tool, ToolError};

/// `sar`.
pub static TOOL: Tool = Tool { name: "sar", aliases: &[], about: "rates of network counters", run };

const STYLE: Style = Style { single_dash: false, anywhere: true, code: 1 };
const OTHER: &str = "netwhy shows sar's network reports: -n KEYWORDS";

const FLAGS: &[Flag] = &[
    Flag::switch('h', "help", "show this"),
    Flag::switch('V', "version", "show the version"),
    Flag::value('n', "net", "KEYWORDS", "which reports, separated by commas, or ALL"),
    Flag::value('\0', "iface", "NAMES", "only these devices"),
    Flag::value('\0', "dec", "DIGITS", "digits behind the point: 0, 1 or 2").maybe(),
    Flag::value('i', "interval", "SECONDS", "of recorded files")
        .refused("netwhy does not read sysstat's files"),
    Flag::value('f', "file", "FILE", "recorded file").refused("netwhy does not read sysstat's files"),
    Flag::value('o', "out", "FILE", "record").refused("netwhy writes no sysstat files"),
    Flag::value('s', "start", "TIME", "of recorded files").refused("netwhy does not read sysstat's files"),
    Flag::value('e', "end", "TIME", "of recorded files").refused("netwhy does not read sysstat's files"),
    Flag::switch('A', "all", "every report").refused(OTHER),
    Flag::switch('b', "io", "I/O").refused(OTHER),
    Flag::switch('u', "cpu", "CPU").refused(OTHER),
    Flag::switch('r', "memory", "memory").refused(OTHER),
    Flag::switch('q', "queue", "load").refused(OTHER),
    Flag::switch('d', "disk", "disks").refused(OTHER),
    Flag::switch('B', "paging", "paging").refused(OTHER),
    Flag::switch('W', "swapping", "swapping").refused(OTHER),
    Flag::switch('w', "tasks", "tasks").refused(OTHER),
    Flag::switch('v', "tables", "kernel tables").refused(OTHER),
    Flag::switch('j', "json", "JSON: one object a sample"),
];

/// A report: its keyword, and each column's heading with where its number comes from.
struct Report {
    key: &'static str,
    columns: &'static [(&'static str, Source)],
}

#[derive(Clone, Copy)]
enum Source {
    /// A counter's growth a second.
    Rate(&'static str),
    /// What `/proc/net/sockstat` says now.
    Level(&'static str),
}

use Source::{Level, Rate};

/// In the order sar shows them.
const REPORTS: &[Report] = &[
    Report {
        key: "SOCK",
        columns: &[
            ("totsck", Level("sockets.used")),
            ("tcpsck", Level("TCP.inuse")),
            ("udpsck", Level("UDP.inuse")),
            ("rawsck", Level("RAW.inuse")),
            ("ip-frag", Level("FRAG.inuse")),
            ("tcp-tw", Level("TCP.tw")),
        ],
    },
    Report {
        key: "IP",
        columns: &[
            ("irec/s", Rate("Ip.InReceives")),
            ("fwddgm/s", Rate("Ip.ForwDatagrams")),
            ("idel/s", Rate("Ip.InDelivers")),
            ("orq/s", Rate("Ip.OutRequests")),
            ("asmrq/s", Rate("Ip.ReasmReqds")),
            ("asmok/s", Rate("Ip.ReasmOKs")),
            ("fragok/s", Rate("Ip.FragOKs")),
            ("fragcrt/s", Rate("Ip.FragCreates")),
        ],
    },
    Report {
        key: "EIP",
        columns: &[
            ("ihdrerr/s", Rate("Ip.InHdrErrors")),
            ("iadrerr/s", Rate("Ip.InAddrErrors")),
            ("iukwnpr/s", Rate("Ip.InUnknownProtos")),
            ("idisc/s", Rate("Ip.InDiscards")),
            ("odisc/s", Rate("Ip.OutDiscards")),
            ("onort/s", Rate("Ip.OutNoRoutes")),
            ("asmf/s", Rate("Ip.ReasmFails")),
            ("fragf/s", Rate("Ip.FragFails")),
        ],
    },
    Report {
        key: "ICMP",
        columns: &[
            ("imsg/s", Rate("Icmp.InMsgs")),
            ("omsg/s", Rate("Icmp.OutMsgs")),
            ("iech/s", Rate("Icmp.InEchos")),
            ("iechr/s", Rate("Icmp.InEchoReps")),
            ("oech/s", Rate("Icmp.OutEchos")),
            ("oechr/s", Rate("Icmp.OutEchoReps")),
            ("itm/s", Rate("Icmp.InTimestamps")),
            ("itmr/s", Rate("Icmp.InTimestampReps")),
            ("otm/s", Rate("Icmp.OutTimestamps")),
            ("otmr/s", Rate("Icmp.OutTimestampReps")),
            ("iadrmk/s", Rate("Icmp.InAddrMasks")),
            ("iadrmkr/s", Rate("Icmp.InAddrMaskReps")),
            ("oadrmk/s", Rate("Icmp.OutAddrMasks")),
            ("oadrmkr/s", Rate("Icmp.OutAddrMaskReps")),
        ],
    },
    Report {
        key: "EICMP",
        columns: &[
            ("ierr/s", Rate("Icmp.InErrors")),
            ("oerr/s", Rate("Icmp.OutErrors")),
            ("idstunr/s", Rate("Icmp.InDestUnreachs")),
            ("odstunr/s", Rate("Icmp.OutDestUnreachs")),
            ("itmex/s", Rate("Icmp.InTimeExcds")),
            ("otmex/s", Rate("Icmp.OutTimeExcds")),
            ("iparmpb/s", Rate("Icmp.InParmProbs")),
            ("oparmpb/s", Rate("Icmp.OutParmProbs")),
            ("isrcq/s", Rate("Icmp.InSrcQuenchs")),
            ("osrcq/s", Rate("Icmp.OutSrcQuenchs")),
            ("iredir/s", Rate("Icmp.InRedirects")),
            ("oredir/s", Rate("Icmp.OutRedirects")),
        ],
    },
    Report {
        key: "TCP",
        columns: &[
            ("active/s", Rate("Tcp.ActiveOpens")),
            ("passive/s", Rate("Tcp.PassiveOpens")),
            ("iseg/s", Rate("Tcp.InSegs")),
            ("oseg/s", Rate("Tcp.OutSegs")),
        ],
    },
    Report {
        key: "ETCP",
        columns: &[
            ("atmptf/s", Rate("Tcp.AttemptFails")),
            ("estres/s", Rate("Tcp.EstabResets")),
            ("retrans/s", Rate("Tcp.RetransSegs")),
            ("isegerr/s", Rate("Tcp.InErrs")),
            ("orsts/s", Rate("Tcp.OutRsts")),
        ],
    },
    Report {
        key: "UDP",
        columns: &[
            ("idgm/s", Rate("Udp.InDatagrams")),
            ("odgm/s", Rate("Udp.OutDatagrams")),
            ("noport/s", Rate("Udp.NoPorts")),
            ("idgmerr/s", Rate("Udp.InErrors")),
        ],
    },
    Report {
        key: "SOCK6",
        columns: &[
            ("tcp6sck", Level("TCP6.inuse")),
            ("udp6sck", Level("UDP6.inuse")),
            ("raw6sck", Level("RAW6.inuse")),
            ("ip6-frag", Level("FRAG6.inuse")),
        ],
    },
    Report {
        key: "UDP6",
        columns: &[
            ("idgm6/s", Rate("Udp6InDatagrams")),
            ("odgm6/s", Rate("Udp6OutDatagrams")),
            ("noport6/s", Rate("Udp6NoPorts")),
            ("idgmer6/s", Rate("Udp6InErrors")),
        ],
    },
];

/// Devices' columns.
const DEV: [&str; 8] =
    ["rxpck/s", "txpck/s", "rxkB/s", "txkB/s", "rxcmp/s", "txcmp/s", "rxmcst/s", "%ifutil"];
const EDEV: [&str; 9] =
    ["rxerr/s", "txerr/s", "coll/s", "rxdrop/s", "txdrop/s", "txcarr/s", "rxfram/s", "rxfifo/s", "txfifo/s"];
const ELSEWHERE: &[&str] = &["NFS", "NFSD", "FC", "SOFT", "IP6", "EIP6", "ICMP6", "EICMP6"];

fn run(session: &mut Session<'_>, args: &[String]) -> Result<u8, ToolError> {
    let parsed = flags::parse("sar", FLAGS, STYLE, args)?;
    if parsed.has("help") {
        writeln!(session.out, "Usage: sar -n KEYWORDS INTERVAL [ COUNT ]")?;
        write!(session.out, "{}", flags::help(FLAGS, STYLE))?;
        return Ok(0);
    }
    if parsed.has("version") {
        writeln!(session.out, "sar from netwhy {}", env!("CARGO_PKG_VERSION"))?;
        return Ok(0);
    }
    let usage = |text: String| ToolError::usage(text, 1);
    let mut keys: Vec<&str> = Vec::new();
    for word in parsed.values("net").flat_map(|list| list.split(',')) {
        let known =
            |one: &str| one == "DEV" || one == "EDEV" || REPORTS.iter().any(|report| report.key == one);
        match word {
            "ALL" => {
                keys.extend(["DEV", "EDEV"]);
                keys.extend(REPORTS.iter().map(|report| report.key));
            }
            word if known(word) => keys.push(word),
            word if ELSEWHERE.contains(&word) => {
                let why = "netwhy nstat -a --watch SECONDS shows these counters".to_owned();
                return Err(ToolError::Refused { what: format!("sar -n {word}"), why, code: 1 });
            }
            word => return Err(usage(format!("sar: -n {word}: no such keyword"))),
        }
    }
    if keys.is_empty() {
        return Err(ToolError::Refused { what: "sar without -n".into(), why: OTHER.into(), code: 1 });
    }
    let mut numbers = parsed.words.iter().map(|word| word.parse::<u64>());
    let interval = match numbers.next() {
        Some(Ok(seconds)) if seconds > 0 => Duration::from_secs(seconds),
        Some(_) => return Err(usage(format!("sar: {} is no interval in seconds", parsed.words[0]))),
        None => {
            let why = "netwhy does not read sysstat's files; give an interval in seconds".to_owned();
            return Err(ToolError::Refused { what: "sar without an interval".into(), why, code: 1 });
        }
    };
    let count = match numbers.next() {
        Some(Ok(count)) if count > 0 => Some(count),
        Some(_) => return Err(usage(format!("sar: {} is no count", parsed.words[1]))),
        None => None,
    };
    let digits = match parsed.value("dec") {
        None => 2,
        Some(word) => word
            .parse()
            .ok()
            .filter(|digits| *digits <= 2)
            .ok_or_else(|| usage(format!("sar: --dec={word}")))?,
    };
    let only: Option<Vec<&str>> = parsed.value("iface").map(|names| names.split(',').collect());
    let sar =
        Sar { collector: session.collector()?, keys, only, digits, json: session.json || parsed.has("json") };
    sar.loop_over(session, interval, count)
}

struct Sar<'a> {
    collector: Collector,
    keys: Vec<&'a str>,
    only: Option<Vec<&'a str>>,
    digits: usize,
    json: bool,
}

/// Everything read at one time.
struct Sample {
    at: Instant,
    clock: i64,
    counters: std::collections::BTreeMap<String, i64>,
    levels: std::collections::BTreeMap<String, u64>,
    links: Vec<netwhy_facts::link::Link>,
    /// Megabits a second and whether both directions have them, by index.
    speeds: HashMap<u32, (u32, bool)>,
}

fn known<T>(reading: Reading<T>) -> Result<T, ToolError> {
    match reading {
        Reading::Known { value, .. } => Ok(value),
        absent => {
            let why = absent.absence().map(|why| why.to_string()).unwrap_or_default();
            Err(ToolError::failed(format!("sar: {why}"), 1))
        }
    }
}

impl Sar<'_> {
    fn sample(&self) -> Result<Sample, ToolError> {
        let mut links = known(self.collector.links())?.0;
        links.sort_by_key(|link| link.index);
        let speeds = match self.keys.contains(&"DEV") {
            true => {
                let indices: Vec<u32> = links.iter().map(|link| link.index).collect();
                let nics = self.collector.nics(&indices);
                let all = nics.value().map(|nics| nics.0.as_slice()).unwrap_or_default();
                all.iter()
                    .filter_map(|nic| {
                        let duplex = nic.full_duplex.value().copied().unwrap_or(false);
                        Some((nic.ifindex, (*nic.speed_mbps.value()?, duplex)))
                    })
                    .collect()
            }
            false => HashMap::new(),
        };
        Ok(Sample {
            at: Instant::now(),
            clock: i64::try_from(clock::realtime().as_secs()).unwrap_or(0),
            counters: known(self.collector.mib())?.0,
            levels: known(self.collector.sockstat())?.0,
            links,
            speeds,
        })
    }

    fn loop_over(
        &self,
        session: &mut Session<'_>,
        interval: Duration,
        count: Option<u64>,
    ) -> Result<u8, ToolError> {
        let interrupted = signal::interrupt_flag().ok();
        let stopped = || interrupted.is_some_and(|flag| flag.load(Ordering::Relaxed));
        let first = self.sample()?;
        if !self.json {
            self.banner(session, first.clock)?;
        }
        let mut before: Option<Sample> = None;
        let mut levels: Vec<Sample> = Vec::new();
        let mut done = 0;
        while count.is_none_or(|count| done < count) && !stopped() {
            let start = before.as_ref().map_or(first.at, |sample| sample.at);
            while start.elapsed() < interval && !stopped() {
                std::thread::sleep(
                    (interval.saturating_sub(start.elapsed())).min(Duration::from_millis(100)),
                );
            }
            if stopped() {
                break;
            }
            let now = self.sample()?;
            let old = before.as_ref().unwrap_or(&first);
            if self.json {
                self.object(session, old, &now)?;
            } else {
                let (from, to) = (stamp(old.clock), stamp(now.clock));
                // A single report of one line is headed once.
                let headed =
                    done == 0 || self.keys.len() > 1 || self.keys.iter().any(|key| key.ends_with("DEV"));
                self.reports(session, (old, &now), (&from, &to), headed, &[&now])?;
            }
            session.out.flush()?;
            done += 1;
            if let Some(sample) = before.replace(now) {
                levels.push(sample);
            }
        }
        if let Some(last) = before
            && !self.json
        {
            levels.push(last);
            let all: Vec<&Sample> = levels.iter().collect();
            if let Some(last) = levels.last() {
                let several = self.keys.len() > 1 || self.keys.iter().any(|key| key.ends_with("DEV"));
                self.reports(session, (&first, last), ("Average:", "Average:"), several, &all)?;
            }
        }
        Ok(0)
    }

    fn banner(&self, session: &mut Session<'_>, now: i64) -> Result<(), ToolError> {
        let read = |name: &str| {
            let mut found = String::new();
            let path = format!("kernel/{name}");
            let _ = self.collector.settings(&path, &mut |_, value| found = value.unwrap_or_default());
            found.trim_end().to_owned()
        };
        let iso = std::env::var("S_TIME_FORMAT").is_ok_and(|format| format == "ISO");
        let day = clock::local_time(now, if iso { "%Y-%m-%d" } else { "%m/%d/%y" }).unwrap_or_default();
        let cpus = netwhy_sys::perf::online_cpus().map_or(1, |cpus| cpus.len());
        writeln!(
            session.out,
            "Linux {} ({}) \t{day} \t_{}_\t({cpus} CPU)",
            read("osrelease"),
            escape_terminal(&read("hostname")),
            std::env::consts::ARCH
        )?;
        Ok(())
    }

    /// All reports between two samples; levels are averages over `during`.
    fn reports(
        &self,
        session: &mut Session<'_>,
        (old, new): (&Sample, &Sample),
        (from, to): (&str, &str),
        headed: bool,
        during: &[&Sample],
    ) -> Result<(), ToolError> {
        let seconds = new.at.duration_since(old.at).as_secs_f64();
        let mut order: Vec<&str> = ["DEV", "EDEV"].into_iter().collect();
        order.extend(REPORTS.iter().map(|report| report.key));
        for key in order.into_iter().filter(|key| self.keys.contains(key)) {
            if headed {
                writeln!(session.out)?;
                let device = key.ends_with("DEV");
                let headings: Vec<&str> = self.headings(key);
                let name = if device { format!("{:>10}", "IFACE") } else { String::new() };
                let columns: String = headings.iter().map(|heading| format!("{heading:>10}")).collect();
                writeln!(session.out, "{from:<11}{name}{columns}")?;
            }
            for (name, values) in self.rows(key, old, new, seconds, during) {
                let columns: String = values.iter().map(|value| self.cell(*value)).collect();
                let name = name.map_or(String::new(), |name| format!("{:>10}", escape_terminal(&name)));
                writeln!(session.out, "{to:<11}{name}{columns}")?;
            }
        }
        Ok(())
    }

    fn headings(&self, key: &str) -> Vec<&'static str> {
        match key {
            "DEV" => DEV.to_vec(),
            "EDEV" => EDEV.to_vec(),
            key => REPORTS
                .iter()
                .find(|report| report.key == key)
                .map(|report| report.columns.iter().map(|column| column.0).collect())
                .unwrap_or_default(),
        }
    }

    fn cell(&self, value: Value) -> String {
        match value {
            Value::Rate(rate) => format!("{rate:>10.*}", self.digits),
            Value::Level(level) => format!("{level:>10.0}"),
            Value::Missing => format!("{:>10}", "-"),
        }
    }

    fn rows(
        &self,
        key: &str,
        old: &Sample,
        new: &Sample,
        seconds: f64,
        during: &[&Sample],
    ) -> Vec<(Option<String>, Vec<Value>)> {
        if key.ends_with("DEV") {
            return self.devices(key, old, new, seconds);
        }
        let Some(report) = REPORTS.iter().find(|report| report.key == key) else { return Vec::new() };
        let value = |(_, source): &(&str, Source)| match source {
            Rate(name) => match (old.counters.get(*name), new.counters.get(*name)) {
                (Some(a), Some(b)) => Value::Rate(b.wrapping_sub(*a) as f64 / seconds),
                _ => Value::Missing,
            },
            Level(name) => {
                let read: Vec<u64> =
                    during.iter().filter_map(|sample| sample.levels.get(*name)).copied().collect();
                match read.is_empty() {
                    true => Value::Missing,
                    false => Value::Level(read.iter().sum::<u64>() as f64 / read.len() as f64),
                }
            }
        };
        vec![(None, report.columns.iter().map(value).collect())]
    }

    fn devices(
        &self,
        key: &str,
        old: &Sample,
        new: &Sample,
        seconds: f64,
    ) -> Vec<(Option<String>, Vec<Value>)> {
        let mut rows = Vec::new();
        for link in &new.links {
            if self.only.as_ref().is_some_and(|only| !only.contains(&link.name.as_str())) {
                continue;
            }
            // A device that came meanwhile has no past.
            let Some(past) = old.links.iter().find(|one| one.index == link.index) else { continue };
            let (a, b) = (&past.stats, &link.stats);
            let rate = |a: u64, b: u64| b.wrapping_sub(a) as f64 / seconds;
            let values = match key {
                "DEV" => {
                    let (rx, tx) = (rate(a.rx_bytes, b.rx_bytes), rate(a.tx_bytes, b.tx_bytes));
                    let used = match new.speeds.get(&link.index) {
                        Some((speed, true)) if *speed > 0 => rx.max(tx) * 800.0 / (f64::from(*speed) * 1e6),
                        Some((speed, false)) if *speed > 0 => (rx + tx) * 800.0 / (f64::from(*speed) * 1e6),
                        _ => 0.0,
                    };
                    vec![
                        rate(a.rx_packets, b.rx_packets),
                        rate(a.tx_packets, b.tx_packets),
                        rx / 1024.0,
                        tx / 1024.0,
                        rate(a.rx_compressed, b.rx_compressed),
                        rate(a.tx_compressed, b.tx_compressed),
                        rate(a.multicast, b.multicast),
                        used,
                    ]
                }
                _ => vec![
                    rate(a.rx_errors, b.rx_errors),
                    rate(a.tx_errors, b.tx_errors),
                    rate(a.collisions, b.collisions),
                    rate(a.rx_dropped + a.rx_missed_errors, b.rx_dropped + b.rx_missed_errors),
                    rate(a.tx_dropped, b.tx_dropped),
                    rate(a.tx_carrier_errors, b.tx_carrier_errors),
                    rate(a.rx_frame_errors, b.rx_frame_errors),
                    rate(a.rx_fifo_errors, b.rx_fifo_errors),
                    rate(a.tx_fifo_errors, b.tx_fifo_errors),
                ],
            };
            rows.push((Some(link.name.clone()), values.into_iter().map(Value::Rate).collect()));
        }
        rows
    }

    fn object(&self, session: &mut Session<'_>, old: &Sample, new: &Sample) -> Result<(), ToolError> {
        let seconds = new.at.duration_since(old.at).as_secs_f64();
        let mut object = serde_json::Map::new();
        object.insert("unix_time".into(), new.clock.into());
        object.insert("seconds".into(), seconds.into());
        for key in &self.keys {
            let headings = self.headings(key);
            let rows: Vec<serde_json::Value> = self
                .rows(key, old, new, seconds, &[new])
                .into_iter()
                .map(|(name, values)| {
                    let mut row = serde_json::Map::new();
                    if let Some(name) = name {
                        row.insert("iface".into(), name.into());
                    }
                    for (heading, value) in headings.iter().zip(values) {
                        let value = match value {
                            Value::Rate(number) | Value::Level(number) => number.into(),
                            Value::Missing => serde_json::Value::Null,
                        };
                        row.insert((*heading).to_owned(), value);
                    }
                    row.into()
                })
                .collect();
            object.insert((*key).to_owned(), rows.into());
        }
        writeln!(session.out, "{}", serde_json::Value::Object(object))?;
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Value {
    Rate(f64),
    Level(f64),
    Missing,
}

fn stamp(clock: i64) -> String {
    clock::local_time(clock, "%H:%M:%S").unwrap_or_else(|_| clock.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_of_a_report_exists_on_this_kernel() {
        let collector = Collector::here().unwrap();
        let (counters, levels) = (known(collector.mib()).unwrap().0, known(collector.sockstat()).unwrap().0);
        // A kernel without IPv6 has none of its counters.
        let has6 = counters.contains_key("Ip6InReceives");
        for report in REPORTS.iter().filter(|report| has6 || !report.key.ends_with('6')) {
            for (heading, source) in report.columns {
                let found = match source {
                    Rate(name) => counters.contains_key(*name),
                    Level(name) => levels.contains_key(*name),
                };
                assert!(found, "{} {heading}", report.key);
            }
        }
    }
}
