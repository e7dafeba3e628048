//! `Fix`: what to do about an object, with its undo, in commands that can be pasted.

use netwhy_facts::Locus;
use serde::{Deserialize, Serialize};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// What it does, one line.
    pub text: String,
    /// The command; empty when a person has to decide or act.
    pub command: String,
    /// The command that takes it back; empty when there is none.
    pub undo: String,
    /// What it may break; empty when nothing beyond its purpose.
    pub risk: String,
}

impl Fix {
    /// A command.
    pub fn run(text: impl Into<String>, command: impl Into<String>, undo: impl Into<String>) -> Self {
        Self { text: text.into(), command: command.into(), undo: undo.into(), risk: String::new() }
    }
    /// Something a person has to do.
    pub fn act(text: impl Into<String>) -> Self {
        Self { text: text.into(), command: String::new(), undo: String::new(), risk: String::new() }
    }
    /// With what it may break.
    pub fn risk(mut self, risk: impl Into<String>) -> Self {
        self.risk = risk.into();
        self
    }
}

/// A word from outside as a POSIX shell takes it: itself where that is harmless, else in single quotes.
pub fn quote(word: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "_-./:,=@%+".contains(c);
    if !word.is_empty() && word.chars().all(harmless) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Words with blanks between them, each quoted by itself.
pub fn quote_words(text: &str) -> String {
    text.split_whitespace().map(quote).collect::<Vec<_>>().join(" ")
}

/// A target as the user wrote it. The brackets of an IPv6 address stay bare where nothing else is odd.
pub fn target_word(target: &str) -> String {
    if target.parse::<std::net::SocketAddrV6>().is_ok() { target.to_string() } else { quote(target) }
}

/// A name in the language of nft(8): itself where it is an identifier, else a string. A string has no escape
/// there, so that a quote in a name becomes a question mark: such a command names nothing, not another thing.
pub fn nft_word(name: &str) -> String {
    let inner = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(inner) {
        name.to_string()
    } else {
        format!("\"{}\"", name.replace(|c: char| c == '"' || c.is_control(), "?"))
    }
}

/// The three words that name a chain (or set, or other object of a table) to nft(8), for a shell.
pub fn nft_chain(family: &str, table: &str, chain: &str) -> String {
    format!("{} {} {}", quote(family), quote(&nft_word(table)), quote(&nft_word(chain)))
}

/// The text of a rule for a shell: nft(8) joins its arguments, so that one quoted word does.
pub fn nft_rule_words(text: &str) -> String {
    let odd = |word: &str| quote(word) != word;
    if text.split(' ').any(odd) { quote(text) } else { text.to_string() }
}

/// The command that deletes the rules netwhy added to a chain, named by [`nft_chain`].
pub fn nft_take_back(chain: &str) -> String {
    format!(
        "nft -a list chain {chain} | awk '/comment \"netwhy\"/{{print $NF}}' | xargs -rn1 nft delete rule {chain} handle"
    )
}

/// The words of a rule as iptables-save(8) writes them: double quotes group, a backslash takes the next letter.
fn saved_words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut open) = (Vec::new(), None::<String>, false);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                open = !open;
                word.get_or_insert_default();
            }
            '\\' => word.get_or_insert_default().extend(letters.next()),
            ' ' if !open => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// The classical command that shows an object.
pub fn show(locus: &Locus) -> String {
    match locus {
        Locus::NftRule { family, table, chain, .. } | Locus::NftChain { family, table, chain, .. } => {
            format!("nft -a list chain {}", nft_chain(family, table, chain))
        }
        Locus::NftSet { family, table, set, .. } => format!("nft list set {}", nft_chain(family, table, set)),
        Locus::IptRule { command, table, chain, .. } | Locus::IptChain { command, table, chain, .. } => {
            format!("{command} -t {} -vnL {} --line-numbers", quote(table), quote(chain))
        }
        Locus::Ipset { set, .. } => format!("ipset list {}", quote(set)),
        Locus::Route { table, dst, .. } => format!("ip route show table {table} {dst}"),
        Locus::MissingRoute { dst, .. } => format!("ip route get {dst}"),
        Locus::Rule { family, .. } => format!("ip -{family} rule show"),
        Locus::Nexthop { id } => format!("ip nexthop show id {id}"),
        Locus::Neighbour { dev, address, .. } => format!("ip neigh show {address} dev {}", quote(dev)),
        Locus::Link { dev, .. } => format!("ip -s link show dev {}", quote(dev)),
        Locus::Address { dev, .. } => format!("ip addr show dev {}", quote(dev)),
        Locus::MissingAddress { address } => format!("ip addr show to {address}"),
        Locus::BridgePort { port, .. } => format!("bridge -d link show dev {}", quote(port)),
        Locus::Qdisc { dev, .. } => format!("tc -s qdisc show dev {}", quote(dev)),
        Locus::Filter { dev, parent, .. } => {
            format!("tc -s filter show dev {} {}", quote(dev), quote(parent))
        }
        Locus::Bpf { prog_id, .. } => format!("bpftool prog show id {prog_id}"),
        Locus::Socket { proto, local, .. } => {
            let port = local.rsplit(':').next().unwrap_or("");
            let filter = quote(&format!("sport = :{port}"));
            format!("ss -{}anp {filter}", proto.name().chars().next().unwrap_or('t'))
        }
        Locus::MissingListener { proto, port, .. } => {
            format!("ss -{}lnp 'sport = :{port}'", proto.name().chars().next().unwrap_or('t'))
        }
        Locus::Process { pid, .. } => format!("cat /proc/{pid}/status"),
        Locus::Sysctl { name, .. } => format!("sysctl {}", quote(name)),
        Locus::Conntrack { .. } => "conntrack -S".to_string(),
        Locus::Resolver { source, .. } => format!("cat {}", quote(source)),
        Locus::HostsEntry { file, .. } | Locus::ConfigLine { file, .. } => format!("cat {}", quote(file)),
        Locus::DnsName { name, .. } => format!("dig {}", quote(name)),
        Locus::Xfrm { .. } => "ip xfrm policy".to_string(),
        Locus::Tunnel { dev, .. } => format!("ip -d link show dev {}", quote(dev)),
        Locus::PortRange { dst, .. } => format!("ss -tan 'dst {dst}' | wc -l"),
        _ => String::new(),
    }
}

/// The selector of a flow in nft syntax: `ip daddr 203.0.113.2 tcp dport 8080`.
pub fn nft_selector(flow: &netwhy_facts::Flow, with_source: bool) -> String {
    let ip = if flow.dst.is_ipv4() { "ip" } else { "ip6" };
    let mut out = String::new();
    if let (true, Some(src)) = (with_source, flow.src) {
        out.push_str(&format!("{ip} saddr {src} "));
    }
    out.push_str(&format!("{ip} daddr {}", flow.dst));
    match flow.proto {
        netwhy_facts::Proto::Icmp => {
            let l4 = if flow.dst.is_ipv4() { "icmp" } else { "icmpv6" };
            out.push_str(&format!(" {l4} type echo-request"));
        }
        p => out.push_str(&format!(" {} dport {}", p.name(), flow.dport)),
    }
    out
}

/// The selector of a flow in iptables syntax: `-d 203.0.113.2 -p tcp --dport 8080`.
pub fn ipt_selector(flow: &netwhy_facts::Flow, with_source: bool) -> String {
    let mut out = String::new();
    if let (true, Some(src)) = (with_source, flow.src) {
        out.push_str(&format!("-s {src} "));
    }
    out.push_str(&format!("-d {}", flow.dst));
    match flow.proto {
        netwhy_facts::Proto::Icmp if flow.dst.is_ipv4() => out.push_str(" -p icmp"),
        netwhy_facts::Proto::Icmp => out.push_str(" -p ipv6-icmp"),
        p => out.push_str(&format!(" -p {} --dport {}", p.name(), flow.dport)),
    }
    out
}

/// The command that puts a removed legacy rule back to its place; empty when its text is not known.
pub fn reinsert(locus: &Locus) -> String {
    let Locus::IptRule { command, table, chain, number, text } = locus else { return String::new() };
    let Some(rest) = text.strip_prefix(&format!("-A {chain}")) else { return String::new() };
    let mut out = format!("{command} -t {} -I {} {number}", quote(table), quote(chain));
    for word in saved_words(rest) {
        out.push(' ');
        out.push_str(&quote(&word));
    }
    out
}

/// How to let exactly `selector` pass a firewall object that stops it, and how to take that back.
/// `nft` and `ipt` are the selectors in the two syntaxes. Empty for objects that are no firewall rule.
pub fn let_pass(locus: &Locus, nft: &str, ipt: &str) -> Vec<Fix> {
    match locus {
        Locus::NftRule { family, table, chain, handle, text } => {
            let at = nft_chain(family, table, chain);
            vec![
                Fix::run(
                    "let exactly this flow pass before the rule",
                    format!("nft insert rule {at} position {handle} {nft} accept comment \"netwhy\""),
                    nft_take_back(&at),
                ),
                Fix::run(
                    "or remove the rule, if nobody wants it",
                    format!("nft delete rule {at} handle {handle}"),
                    format!("nft add rule {at} {}", nft_rule_words(text)),
                )
                .risk("the undo appends the rule at the end of the chain; look at its place first"),
            ]
        }
        Locus::NftChain { family, table, chain, .. } => {
            let at = nft_chain(family, table, chain);
            vec![Fix::run(
                "let exactly this flow pass; the policy stays",
                format!("nft insert rule {at} {nft} accept comment \"netwhy\""),
                nft_take_back(&at),
            )]
        }
        Locus::IptRule { command, table, chain, number, .. } => {
            let (table, chain) = (quote(table), quote(chain));
            vec![
                Fix::run(
                    "let exactly this flow pass before the rule",
                    format!("{command} -t {table} -I {chain} {number} {ipt} -j ACCEPT"),
                    format!("{command} -t {table} -D {chain} {ipt} -j ACCEPT"),
                ),
                Fix::run(
                    "or remove the rule, if nobody wants it",
                    format!("{command} -t {table} -D {chain} {number}"),
                    reinsert(locus),
                ),
            ]
        }
        Locus::IptChain { command, table, chain, .. } => {
            let (table, chain) = (quote(table), quote(chain));
            vec![Fix::run(
                "let exactly this flow pass; the policy stays",
                format!("{command} -t {table} -I {chain} 1 {ipt} -j ACCEPT"),
                format!("{command} -t {table} -D {chain} {ipt} -j ACCEPT"),
            )]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a POSIX shell makes of the words. A test may ask one; the product never does.
    #[expect(clippy::disallowed_methods)]
    fn shell(words: &str) -> Vec<String> {
        let script = format!("printf '%s\\0' {words}");
        let out = std::process::Command::new("sh").args(["-c", &script]).output().expect("sh runs");
        assert!(out.status.success() && out.stderr.is_empty(), "{words}: {out:?}");
        let text = String::from_utf8(out.stdout).expect("text");
        text.trim_end_matches('\0').split('\0').map(str::to_string).collect()
    }

    #[test]
    fn plain_words_stay_as_they_are() {
        for word in ["eth0.100", "net.ipv4.conf.eth0/1.rp_filter", "203.0.113.0/24", "db.internal:5432"] {
            assert_eq!(quote(word), word);
        }
        assert_eq!(quote(""), "''");
        assert_eq!(target_word("[2001:db8::1]:80"), "[2001:db8::1]:80");
    }

    #[test]
    fn a_shell_reads_back_every_word() {
        for word in ["a;b", "$(x)", "`x`", "it's", "a\"b", "*", "~", "a\nb", "#x", "a\\", "a && b", "!1", "ü"]
        {
            assert_eq!(shell(&quote(word)), [word]);
        }
    }

    #[test]
    fn a_device_with_a_semicolon_is_one_word() {
        let command = show(&Locus::Link { dev: "a;b".into(), index: 2 });
        assert_eq!(command, "ip -s link show dev 'a;b'");
        assert_eq!(quote_words("from all iif a;b lookup 100"), "from all iif 'a;b' lookup 100");
    }

    #[test]
    fn the_text_of_an_nft_rule_reaches_nft_untouched() {
        let text = r#"tcp dport 80 drop comment "$(x) it's `y`""#;
        let locus = Locus::NftRule {
            family: "inet".into(),
            table: "filter".into(),
            chain: "a;b".into(),
            handle: 5,
            text: text.into(),
        };
        let fixes = let_pass(&locus, "ip daddr 203.0.113.2 tcp dport 80", "");
        let words = shell(&fixes[1].undo);
        assert_eq!(words[..], ["nft", "add", "rule", "inet", "filter", "\"a;b\"", text]);
        let words = shell(fixes[0].undo.rsplit(" | ").next().expect("three commands"));
        assert_eq!(words[2..], ["nft", "delete", "rule", "inet", "filter", "\"a;b\"", "handle"]);
    }

    #[test]
    fn a_name_cannot_leave_its_place_in_nft() {
        assert_eq!(nft_word("my-chain_1"), "my-chain_1");
        assert_eq!(nft_word("a; flush ruleset"), "\"a; flush ruleset\"");
        assert_eq!(nft_word("a\"; flush ruleset"), "\"a?; flush ruleset\"");
    }

    #[test]
    fn a_legacy_rule_comes_back_word_for_word() {
        let locus = Locus::IptRule {
            command: "iptables".into(),
            table: "filter".into(),
            chain: "INPUT".into(),
            number: 3,
            text: r#"-A INPUT -p tcp -m comment --comment "$(x) \"it's\"" -j DROP"#.into(),
        };
        let words = shell(&reinsert(&locus));
        assert_eq!(words[..6], ["iptables", "-t", "filter", "-I", "INPUT", "3"]);
        assert_eq!(words[6..], ["-p", "tcp", "-m", "comment", "--comment", "$(x) \"it's\"", "-j", "DROP"]);
    }
}
