//! What a tool is called with: options and words become named parameters of its script.

use std::os::unix::fs::MetadataExt;

use netwhy_sys::netns::NetnsRef;
use netwhy_sys::procfs::Tree;

use crate::header::{Opt, Tool};

/// Most values of an option that takes a list.
pub const LIST: usize = 8;

/// Parsed arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// Named parameters, later ones win.
    pub named: Vec<(String, String)>,
    /// Records as JSON.
    pub json: bool,
    /// Show the manual.
    pub help: bool,
    /// Show the script.
    pub print: bool,
    /// Show the programs.
    pub ebpf: bool,
}

impl Call {
    /// The value of a named parameter.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.named.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A switch of columns.
    #[must_use]
    pub fn on(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| value != "false")
    }

    /// A number, `None` when not given.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.value(name)?.parse().ok()
    }
}

/// Options every tool takes; those that filter only where the script reads them.
fn common(script: &str) -> Vec<Opt> {
    let opt = |short, long: &str, arg: Option<&str>, sets: &str, text: &str| Opt {
        short,
        long: Some(long.to_owned()),
        arg: arg.map(str::to_owned),
        sets: sets.to_owned(),
        value: None,
        text: text.to_owned(),
    };
    let mut all = Vec::new();
    if script.contains("want_cgroup") {
        all.push(opt(None, "cgroup", Some("CGROUP"), "cgroup", "processes of this cgroup (path or id) only"));
    }
    if script.contains("want_netns") {
        all.push(opt(
            None,
            "netns",
            Some("NETNS"),
            "netns",
            "this network namespace (name, pid, path, inode) only",
        ));
    }
    all.push(opt(None, "duration", Some("SECONDS"), "duration", "end after so many seconds"));
    all.push(opt(Some('j'), "json", None, "json", "one JSON object a line"));
    all.push(opt(None, "print", None, "print", "show the script for this kernel and these options"));
    all.push(opt(None, "ebpf", None, "ebpf", "show the compiled programs"));
    all.push(opt(Some('h'), "help", None, "help", "show this text"));
    all
}

/// All options of a tool, its own first.
#[must_use]
pub fn all(tool: &Tool) -> Vec<Opt> {
    let mut all = tool.options.clone();
    for opt in common(tool.script) {
        // A tool's own meaning of a word or a letter wins.
        if all.iter().any(|own| own.long.is_some() && own.long == opt.long) {
            continue;
        }
        let taken = all.iter().any(|own| own.short.is_some() && own.short == opt.short);
        all.push(Opt { short: opt.short.filter(|_| !taken), ..opt });
    }
    all
}

/// Reads arguments as getopt(3) does. An error is a sentence for the user.
pub fn parse(tool: &Tool, args: &[String]) -> Result<Call, String> {
    let all = all(tool);
    let mut call = Call::default();
    for opt in tool.options.iter().filter(|opt| opt.positional()) {
        if let Some(default) = &opt.value {
            set(&mut call, opt, default)?;
        }
    }
    let mut words = all.iter().filter(|opt| opt.positional()).peekable();
    let mut rest = args.iter();
    let mut only_words = false;
    while let Some(arg) = rest.next() {
        if only_words || arg == "-" || !arg.starts_with('-') {
            // The last may be many words.
            let many = words.peek().is_some_and(|opt| opt.arg.as_ref().is_some_and(|a| a.ends_with("...")));
            let opt = if many { words.peek().copied() } else { words.next() };
            let opt = opt.ok_or_else(|| format!("what is `{arg}` meant to be?"))?;
            let before = many.then(|| call.value(&opt.sets).map(|text| format!("{text} {arg}"))).flatten();
            set(&mut call, opt, before.as_deref().unwrap_or(arg))?;
            continue;
        }
        if arg == "--" {
            only_words = true;
            continue;
        }
        if let Some(long) = arg.strip_prefix("--") {
            let (name, given) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v.to_owned())));
            let opt = all.iter().find(|opt| opt.long.as_deref() == Some(name));
            let opt = opt.ok_or_else(|| unknown(arg, &all))?;
            take(&mut call, opt, given, &mut rest)?;
            continue;
        }
        let mut letters = arg.chars().skip(1);
        while let Some(letter) = letters.next() {
            let opt = all.iter().find(|opt| opt.short == Some(letter));
            let opt = opt.ok_or_else(|| unknown(&format!("-{letter}"), &all))?;
            let glued = (opt.arg.is_some()).then(|| letters.by_ref().collect::<String>());
            take(&mut call, opt, glued.filter(|text| !text.is_empty()), &mut rest)?;
        }
    }
    Ok(call)
}

fn unknown(arg: &str, all: &[Opt]) -> String {
    let known: Vec<String> = all.iter().filter(|opt| !opt.positional()).map(Opt::shown).collect();
    format!("no option `{arg}`; there are {}", known.join(", "))
}

fn take<'a>(
    call: &mut Call,
    opt: &Opt,
    given: Option<String>,
    rest: &mut impl Iterator<Item = &'a String>,
) -> Result<(), String> {
    match (&opt.arg, given) {
        (Some(_), Some(text)) => set(call, opt, &text),
        (Some(arg), None) => match rest.next() {
            Some(text) => set(call, opt, text),
            None => Err(format!("`{}` wants a {arg}", opt.shown())),
        },
        (None, Some(_)) => Err(format!("`{}` takes no value", opt.shown())),
        (None, None) => {
            match opt.sets.as_str() {
                "json" => call.json = true,
                "help" => call.help = true,
                "print" => call.print = true,
                "ebpf" => call.ebpf = true,
                name => {
                    call.named.push((name.to_owned(), opt.value.clone().unwrap_or_else(|| "true".to_owned())))
                }
            }
            Ok(())
        }
    }
}

/// Turns a value into what the script reads.
fn set(call: &mut Call, opt: &Opt, text: &str) -> Result<(), String> {
    let kind = opt.arg.as_deref().unwrap_or_default();
    let bad = |what: &str| format!("`{}`: {what}, not `{text}`", opt.shown());
    let number = |text: &str| {
        let parsed = match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => text.parse(),
        };
        parsed.map_err(|_| bad("a whole number"))
    };
    let value = match kind {
        "PORTS" => {
            let ports: Vec<&str> = text.split(',').collect();
            if ports.len() > LIST {
                return Err(bad(&format!("at most {LIST} ports")));
            }
            for (n, port) in ports.iter().enumerate() {
                let port: u16 = port.trim().parse().map_err(|_| bad("ports from 1 to 65535"))?;
                if port == 0 {
                    return Err(bad("ports from 1 to 65535"));
                }
                let suffix = if n == 0 { String::new() } else { (n + 1).to_string() };
                call.named.push((format!("{}{suffix}", opt.sets), port.to_string()));
            }
            return Ok(());
        }
        "PORT" => {
            let port: u16 = text.parse().map_err(|_| bad("a port from 1 to 65535"))?;
            port.to_string()
        }
        // As it stands in memory: its bytes are in network order.
        "IPV4" => {
            let address: std::net::Ipv4Addr = text.parse().map_err(|_| bad("an IPv4 address"))?;
            u32::from_ne_bytes(address.octets()).to_string()
        }
        // Microseconds, so that parts of a millisecond can be given.
        "MS" | "MIN_MS" => {
            let ms: f64 = text.parse().map_err(|_| bad("milliseconds"))?;
            if !(0.0..=1e12).contains(&ms) {
                return Err(bad("milliseconds"));
            }
            ((ms * 1000.0).round() as u64).to_string()
        }
        "USER" => match text.parse::<u32>() {
            Ok(uid) => uid.to_string(),
            Err(_) => user_id(text).ok_or_else(|| bad("a user of this host"))?.to_string(),
        },
        "CGROUP" => match text.parse::<u64>() {
            Ok(id) => id.to_string(),
            // The id of a cgroup is the inode of its directory.
            Err(_) => match std::fs::metadata(text) {
                Ok(found) if found.is_dir() => found.ino().to_string(),
                Ok(_) => return Err(bad("the directory of a cgroup")),
                Err(error) => return Err(format!("`{}`: {text}: {error}", opt.shown())),
            },
        },
        "NETNS" => match text.strip_prefix("inode:").map(number) {
            Some(inode) => inode?.to_string(),
            // Inodes of namespaces are far above any process id; a number that is no process is one, too.
            None => match text.parse::<u32>() {
                Ok(number) if number >= 0xe000_0000 || !netwhy_sys::process::exists(number) => {
                    number.to_string()
                }
                _ => match NetnsRef::parse(text).open() {
                    Ok(netns) => netns.id().inode.to_string(),
                    Err(error) => return Err(format!("`{}`: {error}", opt.shown())),
                },
            },
        },
        "ADDR" => match text.parse::<std::net::IpAddr>() {
            Ok(address) => address.to_string(),
            Err(_) => return Err(bad("an address")),
        },
        "EXPR" | "EXPRESSION..." | "NAME" | "DEV" | "WORD" | "PATTERN" | "MARK" => text.to_owned(),
        _ => number(text)?.to_string(),
    };
    call.named.push((opt.sets.clone(), value));
    Ok(())
}

fn user_id(name: &str) -> Option<u32> {
    let text = Tree::at("/").read("etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut parts = line.split(':');
        (parts.next() == Some(name)).then(|| parts.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool() -> Tool {
        crate::header::parse(
            "// t - t\n// Options:\n//   -t | time | x\n//   -4 | family=2 | x\n//   -p, --pid PID | pid | x\n//   -P PORTS | port | x\n//   MIN_MS | min_us=0 | x\nBEGIN { want_netns }\n",
        )
        .unwrap()
    }

    fn call(args: &[&str]) -> Result<Call, String> {
        parse(&tool(), &args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read_as_getopt_reads_them() {
        let got = call(&["-t4p12", "-P", "80,443", "0.5", "--json"]).unwrap();
        assert!(got.on("time") && got.json);
        assert_eq!(got.value("family"), Some("2"));
        assert_eq!(got.number("pid"), Some(12));
        assert_eq!(
            (got.number("port"), got.number("port2"), got.number("port3")),
            (Some(80), Some(443), None)
        );
        assert_eq!(got.number("min_us"), Some(500));
        assert_eq!(call(&["--pid=7"]).unwrap().number("pid"), Some(7));
        assert_eq!(call(&[]).unwrap().number("min_us"), Some(0));
    }

    #[test]
    fn mistakes_are_said() {
        for (args, what) in [
            (&["-x"][..], "no option `-x`"),
            (&["-p"], "wants a PID"),
            (&["-p", "many"], "a whole number"),
            (&["-P", "0"], "ports from 1"),
            (&["-P", "1,2,3,4,5,6,7,8,9"], "at most 8"),
            (&["1", "2"], "what is `2`"),
            (&["--json=1"], "takes no value"),
            (&["--netns", "/nowhere"], "/nowhere"),
            (&["-1"], "no option"),
        ] {
            let error = call(args).unwrap_err();
            assert!(error.contains(what), "{args:?}: {error}");
        }
    }

    #[test]
    fn a_namespace_is_given_by_inode_too() {
        assert_eq!(call(&["--netns", "4026531840"]).unwrap().value("netns"), Some("4026531840"));
        assert_eq!(call(&["--netns", "inode:12"]).unwrap().value("netns"), Some("12"));
    }
}
