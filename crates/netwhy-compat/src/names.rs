//! Names for numbers, from the files of the machine: services, protocols, users. Read once, when first needed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Names from the files below `etc`.
#[derive(Debug)]
pub struct Names {
    etc: PathBuf,
    services: std::cell::OnceCell<Services>,
    protocols: std::cell::OnceCell<HashMap<u16, String>>,
    users: std::cell::OnceCell<HashMap<u32, String>>,
    hosts: std::cell::OnceCell<HashMap<IpAddr, String>>,
}

#[derive(Debug, Default)]
struct Services {
    by_port: HashMap<(&'static str, u16), String>,
    by_name: HashMap<(&'static str, String), u16>,
}

/// Transports that have ports in `services(5)`.
const TRANSPORTS: &[&str] = &["tcp", "udp", "sctp", "dccp"];

/// IP protocols that have a name without a file.
const PROTOCOLS: [(u8, &str); 10] = [
    (1, "icmp"),
    (6, "tcp"),
    (17, "udp"),
    (33, "dccp"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "ipv6-icmp"),
    (132, "sctp"),
    (136, "udplite"),
];

impl Names {
    /// Names from the files of a root directory: `/`, or a container's.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Names {
            etc: root.join("etc"),
            services: Default::default(),
            protocols: Default::default(),
            users: Default::default(),
            hosts: Default::default(),
        }
    }

    fn lines(&self, file: &str) -> Vec<Vec<String>> {
        // A machine without the file has no names; numbers say as much.
        let text = std::fs::read(self.etc.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&text)
            .lines()
            .map(|line| {
                line.split('#').next().unwrap_or("").split_ascii_whitespace().map(str::to_owned).collect()
            })
            .collect()
    }

    fn services(&self) -> &Services {
        self.services.get_or_init(|| {
            let mut found = Services::default();
            for words in self.lines("services") {
                let [name, port, others @ ..] = &words[..] else { continue };
                let Some((port, transport)) = port.split_once('/') else { continue };
                let (Ok(port), Some(transport)) =
                    (port.parse(), TRANSPORTS.iter().find(|known| **known == transport))
                else {
                    continue;
                };
                // The first name of a port, and the first port of a name, count.
                found.by_port.entry((transport, port)).or_insert_with(|| name.clone());
                for name in std::iter::once(name).chain(others) {
                    found.by_name.entry((transport, name.clone())).or_insert(port);
                }
            }
            found
        })
    }

    /// The service on a port of `tcp` or `udp`.
    #[must_use]
    pub fn service(&self, transport: &str, port: u16) -> Option<&str> {
        let transport = TRANSPORTS.iter().find(|known| **known == transport)?;
        self.services().by_port.get(&(*transport, port)).map(String::as_str)
    }

    /// The port of a service, over whichever transport has it.
    #[must_use]
    pub fn port(&self, name: &str) -> Option<u16> {
        let services = self.services();
        TRANSPORTS.iter().find_map(|one| services.by_name.get(&(*one, name.to_owned()))).copied()
    }

    /// The name of an IP protocol (`/etc/protocols`).
    #[must_use]
    pub fn protocol(&self, number: u16) -> Option<&str> {
        self.protocols
            .get_or_init(|| {
                let mut found = HashMap::new();
                for words in self.lines("protocols") {
                    if let [name, number, ..] = &words[..]
                        && let Ok(number) = number.parse()
                    {
                        found.entry(number).or_insert_with(|| name.clone());
                    }
                }
                found
            })
            .get(&number)
            .map(String::as_str)
    }

    /// The number of an IP protocol by name or number.
    #[must_use]
    pub fn protocol_number(&self, word: &str) -> Option<u8> {
        if let Ok(number) = word.parse() {
            return Some(number);
        }
        let listed = self.lines("protocols").into_iter().find_map(|words| {
            let [name, number, others @ ..] = &words[..] else { return None };
            (name == word || others.iter().any(|other| other == word)).then(|| number.parse().ok())?
        });
        let known = || PROTOCOLS.iter().find(|(_, name)| *name == word).map(|(number, _)| *number);
        listed.or_else(known)
    }

    /// The name of an IP protocol, also where the file is missing.
    #[must_use]
    pub fn known_protocol(&self, number: u8) -> Option<&str> {
        let known = || PROTOCOLS.iter().find(|(known, _)| *known == number).map(|(_, name)| *name);
        self.protocol(number.into()).or_else(known)
    }

    /// The name of an address in the hosts file. No name server is asked.
    #[must_use]
    pub fn host(&self, address: IpAddr) -> Option<&str> {
        self.hosts
            .get_or_init(|| {
                let mut found = HashMap::new();
                for words in self.lines("hosts") {
                    if let [address, name, ..] = &words[..]
                        && let Ok(address) = address.parse()
                    {
                        found.entry(address).or_insert_with(|| name.clone());
                    }
                }
                found
            })
            .get(&address)
            .map(String::as_str)
    }

    /// The first address of a name in the hosts file.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<IpAddr> {
        let lines = self.lines("hosts");
        let line = lines.iter().find(|words| words.iter().skip(1).any(|word| word == name))?;
        line.first()?.parse().ok()
    }

    /// The id of a user's name (`/etc/passwd`).
    #[must_use]
    pub fn user_id(&self, name: &str) -> Option<u32> {
        // Filled by the first question about any user.
        let _ = self.user(0);
        self.users.get()?.iter().find(|(_, own)| *own == name).map(|(uid, _)| *uid)
    }

    /// The name of a user id (`/etc/passwd`).
    #[must_use]
    pub fn user(&self, uid: u32) -> Option<&str> {
        self.users
            .get_or_init(|| {
                let text = std::fs::read(self.etc.join("passwd")).unwrap_or_default();
                let mut found = HashMap::new();
                for line in String::from_utf8_lossy(&text).lines() {
                    let mut fields = line.split(':');
                    if let (Some(name), Some(uid)) =
                        (fields.next(), fields.nth(1).and_then(|id| id.parse().ok()))
                    {
                        found.entry(uid).or_insert_with(|| name.to_owned());
                    }
                }
                found
            })
            .get(&uid)
            .map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_files_and_the_first_line_counts() {
        let root = std::env::temp_dir().join(format!("netwhy-names-{}", std::process::id()));
        std::fs::create_dir_all(root.join("etc")).unwrap();
        let write = |file: &str, text: &str| std::fs::write(root.join("etc").join(file), text).unwrap();
        write("services", "# ports\nhttp 80/tcp www # web\nhttp-alt 80/tcp\ndomain 53/udp\nbroken x/tcp\n");
        write("protocols", "icmp 1 ICMP\nipv6-icmp 58 IPv6-ICMP\n");
        write("passwd", "root:x:0:0::/root:/bin/sh\nbad\n");
        write("hosts", "127.0.0.1 localhost loop\n::1 localhost6\n");
        let names = Names::of(&root);
        assert_eq!(names.host("127.0.0.1".parse().unwrap()), Some("localhost"));
        assert_eq!((names.service("tcp", 80), names.service("udp", 80)), (Some("http"), None));
        assert_eq!(
            (names.port("www"), names.port("domain"), names.port("nosuch")),
            (Some(80), Some(53), None)
        );
        assert_eq!((names.protocol(58), names.protocol(99)), (Some("ipv6-icmp"), None));
        assert_eq!((names.user(0), names.user(1)), (Some("root"), None));
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(Names::of(&root).service("tcp", 80), None, "no file, no names");
    }
}
