//! Which names are tried and which sources are asked, in which order. No I/O.

use netwhy_facts::resolver::Resolver;

/// The names a stub resolver tries for `host`, in order (resolv.conf(5): `search`, `ndots`). Without the dot at
/// the end.
#[must_use]
pub fn candidates(host: &str, search: &[String], ndots: u32) -> Vec<String> {
    if let Some(absolute) = host.strip_suffix('.') {
        return vec![if absolute.is_empty() { ".".to_owned() } else { absolute.to_owned() }];
    }
    let dots = host.bytes().filter(|byte| *byte == b'.').count();
    let listed = search.iter().map(|domain| domain.trim_end_matches('.')).map(|domain| {
        // The root in a search list means the name itself.
        if domain.is_empty() { host.to_owned() } else { format!("{host}.{domain}") }
    });
    let itself = std::iter::once(host.to_owned());
    let ndots = usize::try_from(ndots).unwrap_or(usize::MAX);
    let all: Vec<String> =
        if dots >= ndots { itself.chain(listed).collect() } else { listed.chain(itself).collect() };
    let mut unique: Vec<String> = Vec::with_capacity(all.len());
    for name in all {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique
}

/// What a source of nsswitch.conf is to this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// /etc/hosts.
    Files,
    /// The servers of resolv.conf.
    Dns,
    /// nss-myhostname, which knows `localhost` for certain.
    MyHostname,
    /// One that has nothing to say here: not responsible for the name, or its daemon is not there.
    Absent,
    /// One that cannot be asked.
    Unknown,
}

/// How a lookup in a source ended (nsswitch.conf(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Success,
    NotFound,
    Unavailable,
    TryAgain,
}

/// One source with what follows from each status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) service: Service,
    pub(super) name: String,
    /// Statuses that end the lookup.
    ends: [bool; 4],
}

impl Source {
    pub(super) fn asks_dns(&self) -> bool {
        self.service == Service::Dns
    }

    /// Whether the lookup ends with this status.
    pub(super) fn ends_with(&self, status: Status) -> bool {
        self.ends.get(status as usize).copied().unwrap_or(false)
    }
}

/// The sources in order. `words` are as in the fact: `files`, `dns [NOTFOUND=return]`; the action may also be a
/// word of its own.
pub(super) fn sources(words: &[String], resolver: &Resolver, host: &str) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    let text = words.join(" ");
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (actions, after) = inner.split_once(']').unwrap_or((inner, ""));
            if let Some(source) = sources.last_mut() {
                apply(actions, &mut source.ends);
            }
            rest = after.trim_start();
            continue;
        }
        let end = rest.find(|c: char| c.is_whitespace() || c == '[').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        sources.push(Source {
            service: service(name, resolver, host),
            name: name.to_owned(),
            ends: [true, false, false, false],
        });
        rest = after.trim_start();
    }
    if sources.is_empty() {
        // The C library's built-in order.
        return ["dns", "files"]
            .map(|name| Source {
                service: service(name, resolver, host),
                name: name.to_owned(),
                ends: [true, false, false, false],
            })
            .to_vec();
    }
    sources
}

/// `NOTFOUND=return !UNAVAIL=continue`.
fn apply(actions: &str, ends: &mut [bool; 4]) {
    for action in actions.split_whitespace() {
        let (status, what) = action.split_once('=').unwrap_or((action, "continue"));
        let (negated, status) = match status.strip_prefix('!') {
            Some(status) => (true, status),
            None => (false, status),
        };
        let index = match status.to_ascii_uppercase().as_str() {
            "SUCCESS" => 0,
            "NOTFOUND" => 1,
            "UNAVAIL" => 2,
            "TRYAGAIN" => 3,
            _ => continue,
        };
        let end = what.eq_ignore_ascii_case("return");
        for (at, slot) in ends.iter_mut().enumerate() {
            if (at == index) != negated {
                *slot = end;
            }
        }
    }
}

fn service(name: &str, resolver: &Resolver, host: &str) -> Service {
    match name {
        "files" => Service::Files,
        "dns" => Service::Dns,
        "myhostname" => Service::MyHostname,
        // Without its daemon nss-resolve is not available.
        "resolve" if !resolver.resolved.as_ref().is_some_and(|state| state.running) => Service::Absent,
        // These answer for .local only, and say UNAVAIL for the rest.
        _ if name.starts_with("mdns") && name.contains("minimal") && !is_local(host) => Service::Absent,
        _ => Service::Unknown,
    }
}

fn is_local(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host.ends_with(".local") || host == "local"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[&str]) -> Vec<String> {
        text.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_search_list_comes_before_or_after_the_name_itself() {
        let search = words(&["corp.example", "example."]);
        assert_eq!(candidates("db", &search, 1), ["db.corp.example", "db.example", "db"]);
        assert_eq!(
            candidates("db.internal", &search, 1),
            ["db.internal", "db.internal.corp.example", "db.internal.example"]
        );
        assert_eq!(candidates("db.internal", &search, 5).last().unwrap(), "db.internal");
        assert_eq!(candidates("db.internal.", &search, 5), ["db.internal"]);
        assert_eq!(candidates("db", &[], 1), ["db"]);
        assert_eq!(candidates("db", &words(&["."]), 1), ["db"]);
        assert_eq!(candidates(".", &search, 1), ["."]);
    }

    #[test]
    fn actions_say_where_a_lookup_ends() {
        let resolver = Resolver::default();
        let list = words(&[
            "mymachines",
            "resolve [!UNAVAIL=return]",
            "files",
            "mdns4_minimal [NOTFOUND=return]",
            "dns",
        ]);
        let sources = sources(&list, &resolver, "db.internal");
        let services: Vec<_> = sources.iter().map(|source| source.service).collect();
        assert_eq!(
            services,
            [Service::Unknown, Service::Absent, Service::Files, Service::Absent, Service::Dns]
        );
        let resolve = &sources[1];
        assert!(resolve.ends_with(Status::NotFound) && resolve.ends_with(Status::TryAgain));
        assert!(!resolve.ends_with(Status::Unavailable) && resolve.ends_with(Status::Success));
        assert!(sources[3].ends_with(Status::NotFound) && !sources[3].ends_with(Status::Unavailable));
        assert!(!sources[4].ends_with(Status::NotFound));
    }

    #[test]
    fn sloppy_lines_are_still_read() {
        let resolver = Resolver::default();
        let read = |list: &[&str]| {
            sources(&words(list), &resolver, "x.local")
                .iter()
                .map(|source| (source.name.clone(), source.service))
                .collect::<Vec<_>>()
        };
        assert_eq!(read(&["files[success=continue]dns"]).len(), 2);
        assert_eq!(read(&["[NOTFOUND=return]", "dns ["]), [("dns".to_owned(), Service::Dns)]);
        assert_eq!(read(&[])[0].1, Service::Dns);
        assert_eq!(read(&["mdns4_minimal"])[0].1, Service::Unknown);
    }
}
