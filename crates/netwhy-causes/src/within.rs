//! `Within`: the commands of an answer as they must be typed when the question was asked about another network
//! namespace. A command that reads or changes the network would otherwise speak of the wrong one.

use crate::fix::quote;
use crate::report::{CauseOut, Report};

/// How to run something inside the namespace the question was asked in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Within {
    /// What stands before a command.
    prefix: String,
    /// The option of netwhy that leads there, with its value.
    option: String,
    /// Whether files are others there, too; then the first process.
    files_of: Option<u32>,
}

/// Programs that do the same in every network namespace.
const ANYWHERE: [&str; 14] = [
    "ausearch",
    "awk",
    "dmesg",
    "echo",
    "grep",
    "journalctl",
    "kill",
    "prlimit",
    "ps",
    "sort",
    "systemctl",
    "uniq",
    "wc",
    "xargs",
];
/// The verbs of netwhy that look at a network.
const ASKING: [&str; 3] = ["connect", "walk", "facts"];

impl Within {
    /// A namespace that ip-netns(8) knows by name.
    pub fn name(name: &str) -> Self {
        Self {
            prefix: format!("ip netns exec {}", quote(name)),
            option: format!("--netns {}", quote(name)),
            files_of: None,
        }
    }
    /// The namespace of a process.
    pub fn pid(pid: u32) -> Self {
        Self { prefix: format!("nsenter -t {pid} -n"), option: format!("--netns {pid}"), files_of: None }
    }
    /// A container, by its first process: it has files of its own, and rarely the programs that look at a network.
    pub fn container(pid: u32, name: &str) -> Self {
        let option = format!("--container {}", quote(name));
        Self { prefix: format!("nsenter -t {pid} -n"), option, files_of: Some(pid) }
    }
    /// A namespace by its file.
    pub fn path(path: &str) -> Self {
        Self {
            prefix: format!("nsenter {}", quote(&format!("--net={path}"))),
            option: format!("--netns {}", quote(path)),
            files_of: None,
        }
    }

    /// One command line, each of its commands inside the namespace.
    pub fn command(&self, line: &str) -> String {
        // Said to be typed on another host.
        if line.contains(" # on ") {
            return line.to_string();
        }
        let mut out = String::with_capacity(line.len() + self.prefix.len());
        for part in parts(line) {
            match part {
                Part::Between(text) => out.push_str(text),
                Part::Command(text) => out.push_str(&self.one(text)),
            }
        }
        out
    }

    fn one(&self, command: &str) -> String {
        let (program, rest) = command.split_once(' ').unwrap_or((command, ""));
        let asks = ASKING.iter().any(|verb| rest.split(' ').next() == Some(verb));
        match program {
            "netwhy" if asks => format!("netwhy {} {rest}", self.option),
            // The program it starts comes after its options.
            "xargs" => {
                let mut words: Vec<&str> = command.split(' ').collect();
                let at =
                    words.iter().skip(1).position(|w| !w.starts_with('-')).map_or(words.len(), |n| n + 1);
                if words.get(at).is_some_and(|program| !ANYWHERE.contains(program)) {
                    words.insert(at, &self.prefix);
                }
                words.join(" ")
            }
            "cat" | "grep" | "getent" if self.files_of.is_some() && !rest.contains("/proc/") => {
                format!("nsenter -t {} -n -m {command}", self.files_of.unwrap_or_default())
            }
            "netwhy" | "" => command.to_string(),
            // Programs are numbered for the machine; where they are attached is the namespace's.
            "bpftool" if rest.starts_with("prog ") => command.to_string(),
            program if ANYWHERE.contains(&program) => command.to_string(),
            _ => format!("{} {command}", self.prefix),
        }
    }

    fn rewrite(&self, line: &mut String) {
        *line = self.command(line);
    }
}

impl Report {
    /// The report with every command made to speak of the namespace.
    pub fn within(mut self, within: &Within) -> Self {
        let of_causes = |c: &mut CauseOut| {
            within.rewrite(&mut c.verify);
            c.evidence.iter_mut().for_each(|e| within.rewrite(&mut e.command));
            for fix in &mut c.fix {
                within.rewrite(&mut fix.command);
                within.rewrite(&mut fix.undo);
            }
        };
        within.rewrite(&mut self.question.command);
        self.causes.iter_mut().for_each(of_causes);
        for evidence in self.ruled_out.iter_mut().flat_map(|r| &mut r.evidence) {
            within.rewrite(&mut evidence.command);
        }
        self
    }
}

/// A piece of a command line.
enum Part<'a> {
    Command(&'a str),
    /// What joins two commands, with the blanks around it.
    Between(&'a str),
}

/// Cuts a line at `|`, `;` and `&&` outside quotes.
fn parts(line: &str) -> Vec<Part<'_>> {
    let mut out = Vec::new();
    let (mut quote, mut start) = (None::<char>, 0);
    let mut letters = line.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => drop(letters.next()),
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, '|' | ';' | '&') => {
                while letters.next_if(|(_, next)| "|;& ".contains(*next)).is_some() {}
                let end = letters.peek().map_or(line.len(), |(next, _)| *next);
                let command = line.get(start..at).unwrap_or_default();
                let trimmed = command.trim_end();
                out.push(Part::Command(trimmed));
                out.push(Part::Between(line.get(start + trimmed.len()..end).unwrap_or_default()));
                start = end;
            }
            (None, _) => {}
        }
    }
    out.push(Part::Command(line.get(start..).unwrap_or_default()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fix::{nft_chain, nft_take_back};

    #[test]
    fn a_name_a_process_and_a_path_are_entered_each_in_its_way() {
        let command = "ip route add default via 203.0.113.1";
        assert_eq!(
            Within::name("blue").command(command),
            "ip netns exec blue ip route add default via 203.0.113.1"
        );
        assert_eq!(Within::pid(77).command(command), "nsenter -t 77 -n ip route add default via 203.0.113.1");
        assert_eq!(Within::path("/run/my net").command("ss -ltn"), "nsenter '--net=/run/my net' ss -ltn");
    }

    #[test]
    fn netwhy_enters_by_itself_and_explains_anywhere() {
        let blue = Within::name("blue");
        assert_eq!(blue.command("netwhy connect :80 --inbound"), "netwhy --netns blue connect :80 --inbound");
        assert_eq!(blue.command("netwhy explain rp-filter"), "netwhy explain rp-filter");
        assert_eq!(blue.command(""), "");
    }

    #[test]
    fn a_containers_files_are_its_own() {
        let box_ = Within::container(77, "web");
        assert_eq!(box_.command("cat /etc/resolv.conf"), "nsenter -t 77 -n -m cat /etc/resolv.conf");
        assert_eq!(box_.command("ss -ltn"), "nsenter -t 77 -n ss -ltn");
        assert_eq!(box_.command("netwhy connect :80"), "netwhy --container web connect :80");
    }

    #[test]
    fn every_command_of_a_line_enters() {
        let blue = Within::name("blue");
        assert_eq!(
            blue.command(&nft_take_back(&nft_chain("inet", "filter", "in"))),
            "ip netns exec blue nft -a list chain inet filter in | awk '/comment \"netwhy\"/{print $NF}' | \
             xargs -rn1 ip netns exec blue nft delete rule inet filter in handle"
        );
        assert_eq!(
            blue.command("tc qdisc del dev a root && sysctl -w net.ipv4.ip_forward=1; ss -tn | wc -l"),
            "ip netns exec blue tc qdisc del dev a root && ip netns exec blue sysctl -w net.ipv4.ip_forward=1; \
             ip netns exec blue ss -tn | wc -l"
        );
    }

    #[test]
    fn what_stands_in_quotes_is_not_cut() {
        assert_eq!(
            Within::name("blue").command(r#"tcpdump -nni any 'tcp[13] & 2 != 0 | a' "x;\"y" z\;w"#),
            r#"ip netns exec blue tcpdump -nni any 'tcp[13] & 2 != 0 | a' "x;\"y" z\;w"#
        );
    }

    #[test]
    fn processes_and_other_hosts_are_left_alone() {
        let blue = Within::name("blue");
        for line in
            ["kill -CONT 5", "bpftool prog show id 5", "arping -c 1 192.0.2.1   # on a host of the link"]
        {
            assert_eq!(blue.command(line), line);
        }
        assert_eq!(
            blue.command("bpftool net detach xdp dev eth0"),
            "ip netns exec blue bpftool net detach xdp dev eth0"
        );
    }
}
