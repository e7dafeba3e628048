//! Carries out the commands netwhy prints as a fix, with the lab's own netlink code, inside the node.
//!
//! Only the forms that are printed are understood; anything else is refused by name, so that a fix nobody
//! can interpret shows in the score.

mod ip;
mod ipt;
mod nft;
mod tc;

use netwhy_causes::report::CauseOut;
use netwhy_sys::process::{self, Limit, Resource};
use netwhy_sys::signal::Signal;

use crate::error::{LabError, Result};
use crate::node::Node;

/// Applies the first fix of a cause that is a command, and returns it. `None`: there is none, or it has a
/// place that only a person can fill in (`GATEWAY`), or
/// would reach beyond the namespace.
pub fn fix(cause: &CauseOut, node: &mut Node) -> Result<Option<String>> {
    let complete = |command: &str| {
        !command.is_empty() && !has_blank(command) && !MACHINE_WIDE.iter().any(|name| command.contains(name))
    };
    let Some(fix) = cause.fix.iter().find(|fix| complete(&fix.command)) else { return Ok(None) };
    run(&fix.command, node)?;
    Ok(Some(fix.command.clone()))
}

/// Settings of the machine and not of a namespace: not the lab's to change.
const MACHINE_WIDE: [&str; 3] = ["nf_conntrack_max", "gc_thresh", "fs.file-max"];

/// A word in capitals that a person has to replace.
fn has_blank(command: &str) -> bool {
    const BLANKS: [&str; 7] = ["GATEWAY", "DEV", "ADDRESS", "CLIENT", "PROGRAM", "NAME", "SERVER"];
    command.split(|letter: char| !letter.is_ascii_uppercase()).any(|word| BLANKS.contains(&word))
}

/// Carries out one command line: commands that `&&` joins.
pub fn run(line: &str, node: &mut Node) -> Result<()> {
    for words in split(line).ok_or_else(|| not_understood(line))? {
        run_one(line, &words, node)?;
    }
    Ok(())
}

fn run_one(command: &str, words: &[String], node: &mut Node) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let words = words.strip_prefix(&["sudo"]).unwrap_or(&words);
    match words {
        ["nft", rest @ ..] => nft::run(rest, node),
        ["ip", rest @ ..] => ip::run(rest, node),
        ["tc", rest @ ..] => tc::run(rest, node),
        ["bridge", "link", "set", "dev", port, "state", state] => {
            let number = ["disabled", "listening", "learning", "forwarding", "blocking"]
                .iter()
                .position(|word| word == state)
                .or_else(|| state.parse().ok());
            let number = number.and_then(|number| u8::try_from(number).ok());
            node.bridge_port_state(port, number.ok_or_else(|| not_understood(command))?)
        }
        ["bpftool", rest @ ..] => tc::bpftool(rest, node),
        ["sysctl", "-w" | "-qw", settings @ ..] => {
            for setting in settings {
                let (name, value) = setting.split_once('=').ok_or_else(|| not_understood(command))?;
                node.sysctl(name, value)?;
            }
            Ok(())
        }
        ["conntrack", "-F"] => node.conntrack_flush(),
        ["conntrack", "-D", rest @ ..] => conntrack(rest, node),
        [tool @ ("iptables" | "ip6tables" | "iptables-legacy" | "ip6tables-legacy"), rest @ ..] => {
            ipt::run(tool, rest, node)
        }
        ["kill", signal, pid] => {
            let signal = match signal.trim_start_matches("-SIG").trim_start_matches('-') {
                "CONT" => Signal::CONT,
                "TERM" => Signal::TERM,
                "KILL" => Signal::KILL,
                _ => return Err(not_understood(command)),
            };
            node.signal(pid.parse().map_err(|_| not_understood(command))?, signal)
        }
        ["prlimit", "--pid", pid, limit] => {
            let values = limit.strip_prefix("--nofile=").and_then(|text| text.split_once(':'));
            let (soft, hard) = values.ok_or_else(|| not_understood(command))?;
            let number = |word: &str| word.parse().ok();
            let pid = pid.parse().map_err(|_| not_understood(command))?;
            node.limit_files(pid, Limit { soft: number(soft), hard: number(hard) })
        }
        _ => Err(not_understood(command)),
    }
}

/// `-p PROTO -s ADDRESS -d ADDRESS --sport PORT --dport PORT`: one entry.
fn conntrack(words: &[&str], node: &mut Node) -> Result<()> {
    let value = |option: &str| words.iter().position(|word| *word == option).and_then(|at| words.get(at + 1));
    let missing = || not_understood(&format!("conntrack -D {}", words.join(" ")));
    let end = |address: &str, port: &str| {
        let address = netwhy_change::words::ip(value(address).ok_or_else(missing)?)?;
        let port = value(port).map_or(Ok(0), |word| number(word))?;
        Ok::<_, LabError>(std::net::SocketAddr::new(address, port))
    };
    let proto = match value("-p").copied() {
        Some("tcp") => 6,
        Some("udp") => 17,
        _ => return Err(missing()),
    };
    node.conntrack_del(proto, end("-s", "--sport")?, end("-d", "--dport")?)
}

impl Node {
    /// Sets how many files a process of the node may open.
    fn limit_files(&self, pid: u32, limit: Limit) -> Result<()> {
        let outside = self.pid_outside(pid)?;
        process::set_limit(outside, Resource::OpenFiles, limit)?;
        Ok(())
    }

    /// The process id, as the lab sees it, of what the node sees as `pid`.
    fn pid_outside(&self, pid: u32) -> Result<u32> {
        let namespace = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let here = namespace(self.pid);
        let entries = std::fs::read_dir("/proc").map_err(LabError::io("read /proc"))?;
        for entry in entries.flatten() {
            let Ok(candidate) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            if here.is_none() || namespace(candidate) != here {
                continue;
            }
            let status = std::fs::read_to_string(format!("/proc/{candidate}/status")).unwrap_or_default();
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            let inner = numbers.and_then(|line| line.split_whitespace().last()?.parse().ok());
            if inner == Some(pid) {
                return Ok(candidate);
            }
        }
        Err(LabError::Unexpected(format!("{} has no process {pid}", self.name)))
    }
}

fn not_understood(command: &str) -> LabError {
    LabError::Usage(format!("the lab does not understand: {command}"))
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T> {
    word.parse().map_err(|_| LabError::Usage(format!("{word} is not a number here")))
}

/// The words of each command of a line, as a POSIX shell reads them; `&&` stands between commands.
///
/// `None` for a line that a shell would do more with: other operators, substitutions, patterns, open quotes.
fn split(line: &str) -> Option<Vec<Vec<String>>> {
    let (mut commands, mut word) = (vec![Vec::new()], None::<String>);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' => commands.last_mut()?.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '\'' => break,
                        inner => word.push(inner),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '"' => break,
                        '$' | '`' => return None,
                        '\\' if letters.peek().is_some_and(|next| "$`\"\\".contains(*next)) => {
                            word.extend(letters.next());
                        }
                        inner => word.push(inner),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(letters.next()?),
            '&' if word.is_none() && letters.next_if_eq(&'&').is_some() => commands.push(Vec::new()),
            '#' | '~' if word.is_none() => return None,
            ';' | '&' | '|' | '<' | '>' | '(' | ')' | '$' | '`' | '*' | '?' | '\n' => return None,
            other => word.get_or_insert_default().push(other),
        }
    }
    commands.last_mut()?.extend(word);
    Some(commands)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let mut commands = split(line).expect("a shell does nothing else with it");
        assert_eq!(commands.len(), 1);
        commands.remove(0)
    }

    #[test]
    fn quotes_group_and_vanish() {
        assert_eq!(words("nft add rule  'a b' \"\" c"), ["nft", "add", "rule", "a b", "", "c"]);
    }

    #[test]
    fn what_the_causes_quote_is_read_back() {
        for word in ["a;b", "$(x)", "it's", "a && b", "say \"x\"", "\\", "", "a*", "#1", "`x`"] {
            assert_eq!(words(&format!("ip link show {}", netwhy_causes::fix::quote(word)))[3..], [word]);
        }
    }

    #[test]
    fn commands_are_joined_outside_quotes_only() {
        let commands = split("ip link set 'a && b' up && sysctl -w x=1").unwrap();
        assert_eq!(commands, [vec!["ip", "link", "set", "a && b", "up"], vec!["sysctl", "-w", "x=1"]]);
    }

    #[test]
    fn a_line_that_a_shell_would_do_more_with_is_refused() {
        for line in
            ["ip link set a;b up", "echo $(x)", "echo \"$(x)\"", "a | b", "a & b", "echo 'open", "ls *"]
        {
            assert_eq!(split(line), None, "{line}");
        }
    }

    #[test]
    fn a_command_with_a_blank_is_for_a_person() {
        assert!(has_blank("ip route add 203.0.113.2/32 via GATEWAY"));
        assert!(!has_blank("iptables -t filter -D OUTPUT 1"));
        assert!(!has_blank("kill -CONT 5"));
    }
}
