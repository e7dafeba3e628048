//! How names are resolved here: resolv.conf, nsswitch.conf, hosts, systemd-resolved.
//!
//! `ip netns exec` mounts `/etc/netns/NAME/*` over `/etc`; a program started otherwise sees `/etc` itself. netwhy
//! entered by name reads the overlay when it exists, as the victim in that namespace would.

use std::net::IpAddr;
use std::path::PathBuf;

use netwhy_facts::IpNet;
use netwhy_facts::Reading;
use netwhy_facts::resolver::{HostsEntry, NameServer, ResolvedState, Resolver};

use crate::collector::{Collector, read_text};
use crate::error::CollectError;

/// Servers libc uses (MAXNS of resolv.h).
const MAX_SERVERS: usize = 3;
/// Domains of a search list libc keeps in old versions; newer ones keep all, and so do we, up to this.
const MAX_SEARCH: usize = 64;

impl Collector {
    /// The resolver's set-up, with the hosts-file lines for `name`.
    pub fn resolver(&self, name: &str) -> Reading<Resolver> {
        Self::reading("/etc/resolv.conf, nsswitch.conf, hosts", "read access to /etc", || {
            let mut out = Resolver::default();
            let conf = self.etc("resolv.conf");
            out.file = conf.display().to_string();
            // Without a domain or search line libc takes what follows the first dot of the host's name.
            let hostname = read_text(&self.proc("sys/kernel/hostname")).unwrap_or_default();
            let own_domain = hostname.trim_end().split_once('.').map(|(_, domain)| domain.to_owned());
            out.search = own_domain.into_iter().filter(|domain| !domain.is_empty()).collect();
            match read_text(&conf) {
                Ok(text) => {
                    out.file_present = true;
                    decode_resolv_conf(&text, &mut out);
                }
                Err(error) if is_missing(&error) => decode_resolv_conf("", &mut out),
                Err(error) => return Err(error),
            }
            match read_text(&self.etc("nsswitch.conf")) {
                Ok(text) => decode_nsswitch(&text, &mut out),
                Err(error) if is_missing(&error) => decode_nsswitch("", &mut out),
                Err(error) => return Err(error),
            }
            let hosts = self.etc("hosts");
            out.hosts_file = hosts.display().to_string();
            match read_text(&hosts) {
                Ok(text) => decode_hosts(&text, name, &mut out),
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error),
            }
            let gai = self.etc("gai.conf");
            match read_text(&gai) {
                Ok(text) => {
                    out.gai.file = Some(gai.display().to_string());
                    decode_gai_conf(&text, &mut out);
                }
                // Without one the C library's own tables apply, as they do where it may not be read.
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error),
            }
            out.resolved = self.resolved(&out.servers);
            Ok(out)
        })
    }

    /// A file of `/etc`, or its overlay for a named namespace.
    fn etc(&self, file: &str) -> PathBuf {
        if let Some(name) = self.scope().netns_name() {
            let overlay = self.rooted(&format!("etc/netns/{name}/{file}"));
            if overlay.exists() {
                return overlay;
            }
        }
        self.rooted(&format!("etc/{file}"))
    }

    fn resolved(&self, servers: &[NameServer]) -> Option<ResolvedState> {
        let stub: [IpAddr; 2] = [IpAddr::from([127, 0, 0, 53]), IpAddr::from([127, 0, 0, 54])];
        let stub_configured = servers.iter().any(|s| stub.contains(&s.addr));
        let running = self.rooted("run/systemd/resolve").is_dir();
        if !stub_configured && !running {
            return None;
        }
        let mut upstream = Resolver::default();
        if let Ok(text) = read_text(&self.rooted("run/systemd/resolve/resolv.conf")) {
            decode_resolv_conf(&text, &mut upstream);
        }
        let upstream = upstream.servers.into_iter().filter(|s| s.line > 0).map(|s| s.addr).collect();
        Some(ResolvedState { stub_configured, running, upstream })
    }
}

fn is_missing(error: &CollectError) -> bool {
    error.errno().is_some_and(|e| e.name() == "ENOENT")
}

/// resolv.conf(5). Without a server line libc asks the local host (line 0).
pub fn decode_resolv_conf(text: &str, out: &mut Resolver) {
    out.ndots = 1;
    out.timeout_s = 5;
    out.attempts = 2;
    for (number, line) in numbered(text) {
        // A comment starts in the first column only; libc takes `#` later as text.
        if line.starts_with(['#', ';']) {
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        let Some(keyword) = words.next() else { continue };
        let mut bad = || out.bad_lines.push((out.file.clone(), number, line.to_string()));
        // libc looks for the keyword in the first column and passes over an indented line.
        if line.starts_with([' ', '\t']) {
            bad();
            continue;
        }
        match keyword {
            "nameserver" => match words.next().and_then(parse_server) {
                Some(addr) if out.servers.len() < MAX_SERVERS => {
                    out.servers.push(NameServer { addr, port: 53, line: number });
                }
                Some(_) => bad(),
                None => bad(),
            },
            // The last of domain and search wins.
            "domain" | "search" => {
                let many = if keyword == "domain" { 1 } else { MAX_SEARCH };
                (out.search, out.search_line) = (words.take(many).map(str::to_owned).collect(), number);
            }
            "options" => {
                for option in words {
                    let number_of =
                        |prefix: &str| option.strip_prefix(prefix).and_then(|v| v.parse::<u32>().ok());
                    // The caps are libc's own (RES_MAXNDOTS, RES_MAXRETRANS, RES_MAXRETRY).
                    if let Some(n) = number_of("ndots:") {
                        out.ndots = n.min(15);
                    } else if let Some(n) = number_of("timeout:") {
                        out.timeout_s = n.clamp(1, 30);
                    } else if let Some(n) = number_of("attempts:") {
                        out.attempts = n.clamp(1, 5);
                    } else {
                        out.options.push(option.to_string());
                    }
                }
            }
            "sortlist" => {}
            _ => bad(),
        }
    }
    if out.servers.is_empty() {
        out.servers.push(NameServer { addr: IpAddr::from([127, 0, 0, 1]), port: 53, line: 0 });
    }
}

/// gai.conf(5): the order of addresses.
pub fn decode_gai_conf(text: &str, out: &mut Resolver) {
    let file = out.gai.file.clone().unwrap_or_default();
    for (number, line) in numbered(text) {
        let line = line.split('#').next().unwrap_or("").trim();
        let mut words = line.split_ascii_whitespace();
        let Some(keyword) = words.next() else { continue };
        let table = match keyword {
            "label" => &mut out.gai.labels,
            "precedence" => &mut out.gai.precedences,
            "scopev4" => &mut out.gai.scopes_v4,
            "reload" => continue,
            _ => {
                out.bad_lines.push((file.clone(), number, line.to_string()));
                continue;
            }
        };
        let entry = words.next().and_then(prefix).zip(words.next().and_then(|value| value.parse().ok()));
        match entry {
            Some(entry) => table.push(entry),
            None => out.bad_lines.push((file.clone(), number, line.to_string())),
        }
    }
}

/// `ADDRESS/LENGTH`; without a length the whole address.
fn prefix(word: &str) -> Option<IpNet> {
    let (address, length) = word.split_once('/').map_or((word, None), |(a, l)| (a, Some(l)));
    let address: IpAddr = address.parse().ok()?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(whole), |l| l.parse().ok().filter(|l| *l <= whole))?;
    Some(IpNet { addr: address, len: length })
}

/// An address, with a zone for link-local IPv6 (which the question's own device then stands for).
fn parse_server(word: &str) -> Option<IpAddr> {
    word.split('%').next()?.parse().ok()
}

/// The `hosts` database of nsswitch.conf(5); without one, glibc's default `files dns`.
pub fn decode_nsswitch(text: &str, out: &mut Resolver) {
    out.nsswitch_hosts = vec!["files".into(), "dns".into()];
    out.nsswitch_line = 0;
    for (number, line) in numbered(text) {
        let line = line.split('#').next().unwrap_or("").trim();
        let Some((database, sources)) = line.split_once(':') else { continue };
        if database.trim() != "hosts" {
            continue;
        }
        let mut list: Vec<String> = Vec::new();
        let mut rest = sources.trim();
        while !rest.is_empty() {
            // An action in brackets belongs to the source before it.
            let end = match rest.strip_prefix('[') {
                Some(_) => rest.find(']').map_or(rest.len(), |at| at + 1),
                None => rest.find(|c: char| c.is_whitespace() || c == '[').unwrap_or(rest.len()),
            };
            let (word, tail) = rest.split_at(end);
            match (word.starts_with('['), list.last_mut()) {
                (true, Some(last)) => *last = format!("{last} {word}"),
                _ => list.push(word.to_string()),
            }
            rest = tail.trim_start();
        }
        out.nsswitch_hosts = list;
        out.nsswitch_line = number;
    }
}

/// hosts(5): the lines that name `name` (any case, with or without the final dot) or one of its search candidates.
pub fn decode_hosts(text: &str, name: &str, out: &mut Resolver) {
    let plain = name.trim_end_matches('.').to_ascii_lowercase();
    let mut wanted = vec![plain.clone()];
    if !name.ends_with('.') {
        wanted.extend(
            out.search.iter().map(|s| format!("{plain}.{}", s.trim_matches('.').to_ascii_lowercase())),
        );
    }
    for (number, line) in numbered(text) {
        let line = line.split('#').next().unwrap_or("");
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        let names: Vec<&str> = words.collect();
        let Some(addr) = first.split('%').next().and_then(|a| a.parse().ok()) else {
            out.bad_lines.push((out.hosts_file.clone(), number, line.trim_end().to_string()));
            continue;
        };
        for host in names {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            if wanted.contains(&host) {
                out.hosts.push(HostsEntry { line: number, addr, name: host });
            }
        }
    }
}

fn numbered(text: &str) -> impl Iterator<Item = (u32, &str)> {
    text.lines().enumerate().map(|(n, line)| (n as u32 + 1, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolv(text: &str) -> Resolver {
        let mut out = Resolver { file: "/etc/resolv.conf".into(), ..Resolver::default() };
        decode_resolv_conf(text, &mut out);
        out
    }

    #[test]
    fn servers_options_and_search_follow_resolv_conf() {
        let r = resolv(
            "# c\nnameserver 198.51.100.1\nnameserver 2001:db8::1%eth0\nnameserver 203.0.113.1\nnameserver 203.0.113.2\n\
             domain a.test\nsearch b.test c.test\noptions ndots:20 timeout:2 attempts:0 rotate\nnameserver bogus\nnonsense x\n",
        );
        let servers: Vec<String> = r.servers.iter().map(|s| format!("{} {}", s.addr, s.line)).collect();
        assert_eq!(servers, ["198.51.100.1 2", "2001:db8::1 3", "203.0.113.1 4"]);
        assert_eq!(r.search, ["b.test", "c.test"]);
        assert_eq!((r.ndots, r.timeout_s, r.attempts), (15, 2, 1));
        assert_eq!(r.options, ["rotate"]);
        let bad: Vec<u32> = r.bad_lines.iter().map(|b| b.1).collect();
        assert_eq!(bad, [5, 9, 10]);
    }

    #[test]
    fn an_indented_line_is_passed_over() {
        // Held against glibc 2.36: with only this line it asks 127.0.0.1.
        let r = resolv(" nameserver 198.51.100.1\n\tsearch a.test\n");
        assert_eq!((r.servers[0].addr.to_string().as_str(), r.servers[0].line), ("127.0.0.1", 0));
        assert!(r.search.is_empty());
        assert_eq!(r.bad_lines.iter().map(|bad| bad.1).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn the_files_of_a_tree_are_read_with_the_overlay_of_a_namespace() {
        let root = std::env::temp_dir().join(format!("netwhy-resolver-{}", std::process::id()));
        for (path, text) in [
            ("etc/resolv.conf", "nameserver 198.51.100.1\n"),
            ("etc/hosts", "198.51.100.9 db.corp.test\n"),
            ("etc/netns/blue/resolv.conf", "nameserver 203.0.113.1\nsearch blue.test\n"),
            ("proc/sys/kernel/hostname", "web1.corp.test\n"),
            ("run/systemd/resolve/resolv.conf", "nameserver 203.0.113.53\n"),
        ] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let scope = |netns| crate::Scope { netns, proc: root.join("proc"), root: root.clone(), pid: None };
        let plain = Collector::open(scope(netwhy_sys::netns::NetnsRef::Current)).unwrap().resolver("db");
        let plain = plain.value().unwrap();
        assert!(plain.file_present && plain.file.ends_with("etc/resolv.conf"));
        assert_eq!(plain.search, ["corp.test"], "from the host's own name");
        assert_eq!((plain.hosts[0].line, plain.hosts[0].name.as_str()), (1, "db.corp.test"));
        assert_eq!(plain.nsswitch_hosts, ["files", "dns"]);
        let resolved = plain.resolved.as_ref().unwrap();
        assert!(resolved.running && !resolved.stub_configured);
        assert_eq!(resolved.upstream[0].to_string(), "203.0.113.53");
        // A name that no namespace has cannot be opened; the file it would select is chosen by the same rule.
        let mut named = Collector::open(scope(netwhy_sys::netns::NetnsRef::Current)).unwrap();
        named.name_for_test("blue");
        let blue = named.resolver("db");
        let blue = blue.value().unwrap();
        assert!(blue.file.ends_with("etc/netns/blue/resolv.conf"), "{}", blue.file);
        assert_eq!(blue.search, ["blue.test"]);
        assert!(blue.hosts_file.ends_with("etc/hosts"), "no overlay of this one");
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn any_bytes_are_survived() {
        let files = [
            "nameserver\nsearch\noptions\nnameserver 1.2.3.4.5 x\noptions ndots:\nndots:99999999999999\n",
            "hosts: [ files ]dns[\nhosts\n:\nhosts: [!X=y] files",
            "1.2.3.4\n::1 \nfe80::1%eth0 a b c\n\u{0}\u{7f}\n",
        ];
        for text in files {
            crate::testing::damage(text.as_bytes(), 2_000, |bytes| {
                let text = String::from_utf8_lossy(bytes);
                let mut out = Resolver { search: vec!["x".into()], ..Resolver::default() };
                decode_resolv_conf(&text, &mut out);
                decode_nsswitch(&text, &mut out);
                decode_hosts(&text, "a", &mut out);
                assert!(out.servers.len() <= MAX_SERVERS && !out.servers.is_empty());
            });
        }
    }

    #[test]
    fn without_servers_libc_asks_the_local_host() {
        let r = resolv("search x\n");
        assert_eq!((r.servers[0].addr.to_string().as_str(), r.servers[0].line), ("127.0.0.1", 0));
    }

    #[test]
    fn sources_keep_their_actions() {
        let mut r = Resolver::default();
        decode_nsswitch(
            "passwd: files\nhosts:  mymachines resolve[!UNAVAIL=return] files myhostname dns # x\n",
            &mut r,
        );
        assert_eq!(
            r.nsswitch_hosts,
            ["mymachines", "resolve [!UNAVAIL=return]", "files", "myhostname", "dns"]
        );
        assert_eq!(r.nsswitch_line, 2);
        decode_nsswitch("", &mut r);
        assert_eq!(r.nsswitch_hosts, ["files", "dns"]);
    }

    #[test]
    fn hosts_lines_match_the_name_and_its_search_candidates() {
        let mut r = Resolver {
            search: vec!["corp.test".into()],
            hosts_file: "/etc/hosts".into(),
            ..Resolver::default()
        };
        decode_hosts(
            "198.51.100.9 DB.corp.test alias # db\n2001:db8::9\tdb\nbroken db\n\n198.51.100.8 other\n",
            "db",
            &mut r,
        );
        let got: Vec<String> = r.hosts.iter().map(|h| format!("{} {} {}", h.line, h.addr, h.name)).collect();
        assert_eq!(got, ["1 198.51.100.9 db.corp.test", "2 2001:db8::9 db"]);
        assert_eq!(r.bad_lines[0].1, 3);
        let mut r = Resolver { search: vec!["corp.test".into()], ..Resolver::default() };
        decode_hosts("198.51.100.9 db.corp.test\n", "db.", &mut r);
        assert!(r.hosts.is_empty(), "a final dot means: no search list");
    }

    #[test]
    fn the_tables_of_gai_conf_are_read_and_nonsense_is_told() {
        let mut r = Resolver::default();
        r.gai.file = Some("/etc/gai.conf".into());
        let text = "# comment\nreload yes\nprecedence ::ffff:0:0/96  100 # v4 first\nlabel 2001:db8::/32 9\n\
                    scopev4 10.0.0.0/8 5\nscopev4 192.0.2.1 2\nprecedence ::/200 1\nlabel x 1\nnonsense\n";
        decode_gai_conf(text, &mut r);
        let net = |addr: &str, len| IpNet { addr: addr.parse().unwrap(), len };
        assert_eq!(r.gai.precedences, [(net("::ffff:0:0", 96), 100)]);
        assert_eq!(r.gai.labels, [(net("2001:db8::", 32), 9)]);
        assert_eq!(r.gai.scopes_v4, [(net("10.0.0.0", 8), 5), (net("192.0.2.1", 32), 2)]);
        let bad: Vec<u32> = r.bad_lines.iter().map(|(_, line, _)| *line).collect();
        assert_eq!(bad, [7, 8, 9]);
    }
}
