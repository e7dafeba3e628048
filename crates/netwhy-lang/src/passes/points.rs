//! Attach points: text to places, wildcards expanded.

use crate::ast::Point;
use crate::diag::{Diagnostic, Result, nearest};
use crate::program::{Attach, Kind, MissingProbes};
use crate::types::Probes;

const PROVIDERS: [&str; 21] = [
    "BEGIN",
    "END",
    "begin",
    "end",
    "interval",
    "profile",
    "tracepoint",
    "rawtracepoint",
    "kprobe",
    "kretprobe",
    "fentry",
    "fexit",
    "kfunc",
    "kretfunc",
    "uprobe",
    "uretprobe",
    "usdt",
    "software",
    "hardware",
    "iter",
    "watchpoint",
];

/// The provider's full name, from an alias or an old spelling.
pub fn provider(word: &str) -> &str {
    match word {
        "t" => "tracepoint",
        "rt" => "rawtracepoint",
        "k" => "kprobe",
        "kr" => "kretprobe",
        "f" | "kfunc" => "fentry",
        "fr" | "kretfunc" => "fexit",
        "u" => "uprobe",
        "ur" => "uretprobe",
        "U" => "usdt",
        "i" => "interval",
        "p" => "profile",
        "s" => "software",
        "h" => "hardware",
        "it" => "iter",
        "w" | "asyncwatchpoint" | "aw" => "watchpoint",
        "begin" => "BEGIN",
        "end" => "END",
        other => other,
    }
}

/// What a place is loaded as.
pub fn kind(attach: &Attach) -> Kind {
    match attach {
        Attach::Begin | Attach::End | Attach::SelfSignal(_) => Kind::Once,
        Attach::Interval { .. }
        | Attach::Profile { .. }
        | Attach::Software { .. }
        | Attach::Hardware { .. }
        | Attach::Watchpoint { .. } => Kind::PerfEvent,
        Attach::Tracepoint { .. } => Kind::Tracepoint,
        Attach::RawTracepoint { .. } => Kind::BtfTracepoint,
        Attach::Kprobe { .. }
        | Attach::Kretprobe { .. }
        | Attach::Uprobe { .. }
        | Attach::Uretprobe { .. }
        | Attach::Usdt { .. } => Kind::Kprobe,
        Attach::Fentry { .. } => Kind::Fentry,
        Attach::Fexit { .. } => Kind::Fexit,
        Attach::Iter { .. } => Kind::Iter,
    }
}

/// The value of the `probe` builtin.
pub fn name(attach: &Attach) -> String {
    match attach {
        Attach::Begin => "begin".into(),
        Attach::End => "end".into(),
        Attach::SelfSignal(s) => format!("self:signal:{s}"),
        Attach::Interval { written, .. } => format!("interval:{written}"),
        Attach::Profile { written, .. } => format!("profile:{written}"),
        Attach::Tracepoint { category, event } => format!("tracepoint:{category}:{event}"),
        Attach::RawTracepoint { event } => format!("rawtracepoint:{event}"),
        Attach::Kprobe { function, offset: 0 } => format!("kprobe:{function}"),
        Attach::Kprobe { function, offset } => format!("kprobe:{function}+{offset}"),
        Attach::Kretprobe { function } => format!("kretprobe:{function}"),
        Attach::Fentry { module, function } => format!("fentry:{}{function}", prefix(module)),
        Attach::Fexit { module, function } => format!("fexit:{}{function}", prefix(module)),
        Attach::Uprobe { path, symbol, offset } if *offset == 0 => format!("uprobe:{path}:{symbol}"),
        Attach::Uprobe { path, symbol, offset } => format!("uprobe:{path}:{symbol}+{offset}"),
        Attach::Uretprobe { path, symbol } => format!("uretprobe:{path}:{symbol}"),
        Attach::Usdt { path, provider, name, .. } => format!("usdt:{path}:{provider}:{name}"),
        Attach::Watchpoint { address, length, mode } => format!("watchpoint:{address:#x}:{length}:{mode}"),
        Attach::Software { event, period } => format!("software:{event}:{period}"),
        Attach::Hardware { event, period } => format!("hardware:{event}:{period}"),
        Attach::Iter { target } => format!("iter:{target}"),
    }
}

fn prefix(module: &Option<String>) -> String {
    module.as_ref().map_or(String::new(), |m| format!("{m}:"))
}

/// Unit and number; a period written as one word is in the unit that fits.
fn written(parts: &[&str], ns: u64) -> String {
    match parts {
        [unit, number] => format!("{unit}:{}", number.replace('_', "")),
        _ => duration(ns),
    }
}

fn duration(ns: u64) -> String {
    match ns {
        n if n % 1_000_000_000 == 0 => format!("s:{}", n / 1_000_000_000),
        n if n % 1_000_000 == 0 => format!("ms:{}", n / 1_000_000),
        n if n % 1_000 == 0 => format!("us:{}", n / 1_000),
        n => format!("ns:{n}"),
    }
}

/// All places an attach point stands for.
pub fn expand(point: &Point, probes: &dyn Probes, missing: MissingProbes) -> Result<Vec<Attach>> {
    let span = point.span;
    let (word, rest) = point.text.split_once(':').unwrap_or((&point.text, ""));
    let provider = provider(word);
    let error = |text: String| Diagnostic::error(span, text);
    let parts: Vec<&str> = if rest.is_empty() { Vec::new() } else { rest.split(':').collect() };
    let wild = rest.contains(['*', '?', '[']);
    match (provider, parts.as_slice()) {
        ("BEGIN", []) => return Ok(vec![Attach::Begin]),
        ("END", []) => return Ok(vec![Attach::End]),
        ("self", ["signal", signal]) => return Ok(vec![Attach::SelfSignal((*signal).into())]),
        ("interval", parts) => {
            let ns = period(parts).map_err(error)?;
            return Ok(vec![Attach::Interval { ns, written: written(parts, ns) }]);
        }
        ("profile", parts) => {
            let ns = period(parts).map_err(error)?;
            return Ok(vec![Attach::Profile { ns, written: written(parts, ns) }]);
        }
        ("software" | "hardware", [event, more @ ..]) if more.len() < 2 => {
            let period = match more.first() {
                Some(n) => n
                    .replace('_', "")
                    .parse()
                    .map_err(|_| error(format!("`{n}` is not a number of events")))?,
                None => 0,
            };
            let event = event.to_string();
            return Ok(vec![match provider {
                "software" => Attach::Software { event, period },
                _ => Attach::Hardware { event, period },
            }]);
        }
        ("watchpoint", [address, length, mode]) => {
            let address = number(address).ok_or_else(|| {
                error(format!("`{address}` is not an address"))
                    .hint("the form is watchpoint:0xADDRESS:length:mode")
            })?;
            let length: u64 = length.parse().unwrap_or(0);
            if !matches!(length, 1 | 2 | 4 | 8) {
                return Err(error("a watchpoint has a length of 1, 2, 4 or 8 bytes".to_owned()));
            }
            let mut letters: Vec<char> = mode.chars().collect();
            letters.sort_unstable();
            let mode: String = letters.iter().collect();
            if !matches!(mode.as_str(), "r" | "w" | "rw" | "x") {
                return Err(error(format!("`{mode}` is no way to watch: r, w, rw or x")));
            }
            return Ok(vec![Attach::Watchpoint { address, length, mode }]);
        }
        ("iter", [_, _]) => {
            return Err(error(
                "netwhy pins nothing: an iterator's output goes to standard output".to_owned(),
            )
            .hint("write `iter:NAME`"));
        }
        ("iter", [target]) => return Ok(vec![Attach::Iter { target: (*target).into() }]),
        _ => {}
    }
    if provider == "usdt"
        && let Some(sites) = probes.usdt(rest)
    {
        if sites.is_empty() && missing == MissingProbes::Error {
            return Err(error(format!("No matches for {}: it stands for no probe", point.text)));
        }
        return Ok(sites);
    }
    // Where a program or library is, is found out once.
    let resolved = match provider {
        "uprobe" | "uretprobe" | "fentry" | "fexit" if !wild => probes.resolve(provider, rest),
        _ => None,
    };
    let rest = resolved.as_deref().unwrap_or(rest);
    let names = if wild {
        let found = probes.matching(provider, rest);
        if found.is_empty() && missing == MissingProbes::Error {
            return Err(error(format!("No matches for {}: it stands for no probe", point.text)));
        }
        found
    } else {
        if PROVIDERS.contains(&provider) && probes.exists(provider, rest) == Some(false) {
            if missing != MissingProbes::Error {
                return Ok(Vec::new());
            }
            let similar = probes.similar(provider, rest);
            let mut err = error(format!("No matches for {provider} {rest}."));
            if let Some(best) =
                nearest(rest, similar.iter().map(String::as_str)).or(similar.first().map(|s| &**s))
            {
                err = err.hint(format!("did you mean `{provider}:{best}`?"));
            }
            return Err(err);
        }
        vec![rest.to_string()]
    };
    names.iter().map(|name| place(provider, name, point)).collect()
}

fn period(parts: &[&str]) -> std::result::Result<u64, String> {
    let number = |n: &str| n.replace('_', "").parse::<u64>().map_err(|_| format!("`{n}` is not a number"));
    let ns = match parts {
        [unit, n] => {
            let n = number(n)?;
            let scale = match *unit {
                "s" => 1_000_000_000,
                "ms" => 1_000_000,
                "us" => 1_000,
                "ns" => 1,
                "hz" => {
                    return 1_000_000_000u64.checked_div(n).filter(|n| *n > 0).ok_or("0 Hz is never".into());
                }
                other => return Err(format!("`{other}` is no unit of time: use s, ms, us or hz")),
            };
            n.checked_mul(scale).ok_or("the period is too long")?
        }
        [one] => {
            let digits = one.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(one.len());
            let (n, unit) = one.split_at(digits);
            if unit.is_empty() { number(n)? } else { return period(&[unit, n]) }
        }
        _ => return Err("expected a unit and a number, as in `interval:s:1`".into()),
    };
    if ns == 0 { Err("the period must not be 0".into()) } else { Ok(ns) }
}

fn place(provider: &str, name: &str, point: &Point) -> Result<Attach> {
    let parts: Vec<&str> = name.split(':').collect();
    let s = |t: &str| t.to_string();
    let offset = |t: &str| -> Option<(String, u64)> {
        match t.split_once('+') {
            None => Some((s(t), 0)),
            Some((f, n)) => number(n).map(|n| (s(f), n)),
        }
    };
    let made = match (provider, parts.as_slice()) {
        ("tracepoint", [category, event]) => {
            Some(Attach::Tracepoint { category: s(category), event: s(event) })
        }
        ("rawtracepoint", [event] | [_, event]) => Some(Attach::RawTracepoint { event: s(event) }),
        ("kprobe", [f] | [_, f]) => offset(f).map(|(function, offset)| Attach::Kprobe { function, offset }),
        ("kretprobe", [f] | [_, f]) => Some(Attach::Kretprobe { function: s(f) }),
        ("fentry", [f]) => Some(Attach::Fentry { module: None, function: s(f) }),
        ("fentry", [m, f]) => Some(Attach::Fentry { module: module(m), function: s(f) }),
        ("fexit", [f]) => Some(Attach::Fexit { module: None, function: s(f) }),
        ("fexit", [m, f]) => Some(Attach::Fexit { module: module(m), function: s(f) }),
        ("uprobe", [path, symbol] | [path, _, symbol]) => match number(symbol) {
            Some(offset) => Some(Attach::Uprobe { path: s(path), symbol: String::new(), offset }),
            None => offset(symbol).map(|(symbol, offset)| Attach::Uprobe { path: s(path), symbol, offset }),
        },
        ("uretprobe", [path, symbol] | [path, _, symbol]) => {
            Some(Attach::Uretprobe { path: s(path), symbol: s(symbol) })
        }
        ("usdt", [path, name]) => Some(usdt(path, "", name)),
        ("usdt", [path, provider, name]) => Some(usdt(path, provider, name)),
        _ => None,
    };
    made.filter(|_| parts.iter().all(|p| !p.is_empty())).ok_or_else(|| {
        if PROVIDERS.contains(&provider) {
            let form = match provider {
                "tracepoint" => "tracepoint:category:event",
                "uprobe" | "uretprobe" => "uprobe:path:function",
                "usdt" => "usdt:path:provider:name",
                "software" | "hardware" => "software:event:count",
                _ => "kprobe:function",
            };
            return Diagnostic::error(point.span, format!("`{}` is not a complete probe", point.text))
                .hint(format!("the form is `{form}`"));
        }
        Diagnostic::error(point.span, format!("unknown kind of probe `{provider}`"))
            .nearest(provider, PROVIDERS)
    })
}

/// One that nobody has looked for in the file.
fn usdt(path: &str, provider: &str, name: &str) -> Attach {
    let (offset, semaphore) = (0, 0);
    let (path, provider, name) = (path.into(), provider.into(), name.into());
    Attach::Usdt { path, provider, name, offset, semaphore, args: String::new() }
}

fn module(name: &str) -> Option<String> {
    (name != "vmlinux").then(|| name.to_string())
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// What `probetype` says of a place.
pub(crate) fn kind_name(attach: &Attach) -> &'static str {
    match attach {
        Attach::Begin | Attach::End | Attach::SelfSignal(_) => "special",
        Attach::Interval { .. } => "interval",
        Attach::Profile { .. } => "profile",
        Attach::Tracepoint { .. } => "tracepoint",
        Attach::RawTracepoint { .. } => "rawtracepoint",
        Attach::Kprobe { .. } => "kprobe",
        Attach::Kretprobe { .. } => "kretprobe",
        Attach::Fentry { .. } => "fentry",
        Attach::Fexit { .. } => "fexit",
        Attach::Uprobe { .. } => "uprobe",
        Attach::Uretprobe { .. } => "uretprobe",
        Attach::Usdt { .. } => "usdt",
        Attach::Software { .. } => "software",
        Attach::Hardware { .. } => "hardware",
        Attach::Iter { .. } => "iter",
        Attach::Watchpoint { .. } => "watchpoint",
    }
}
