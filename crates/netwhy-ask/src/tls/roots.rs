//! What this host trusts.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Where distributions keep their bundle: Debian, Fedora, SUSE, the extracted one, Alpine and BSDs.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// No bundle is near this size.
const LIMIT: u64 = 16 << 20;

/// Trusted roots.
#[derive(Debug, Clone)]
pub struct Roots {
    /// Where they come from: a path, or `built-in list`.
    pub source: String,
    pub(super) store: RootCertStore,
    /// The certificates themselves, to know one by when a server uses it as its own.
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// Those a program that asks OpenSSL would have: `SSL_CERT_FILE`, else the system's bundle; and Mozilla's list as
    /// built in where there is neither.
    #[must_use]
    pub fn load() -> Self {
        let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        let places: Vec<PathBuf> = match named {
            // A named file that cannot be read leaves nothing to trust, and its name says why.
            Some(file) => {
                return Self::from_file(&file).unwrap_or_else(|| Self::empty(&file));
            }
            None => BUNDLES.iter().map(PathBuf::from).collect(),
        };
        places.iter().find_map(|file| Self::from_file(file)).unwrap_or_else(Self::built_in)
    }

    /// The certificates of a PEM file; `None` if it cannot be read or holds none.
    #[must_use]
    pub fn from_file(file: &Path) -> Option<Self> {
        if std::fs::metadata(file).ok()?.len() > LIMIT {
            return None;
        }
        let bytes = std::fs::read(file).ok()?;
        Self::from_pem(&bytes, &file.display().to_string())
    }

    /// The certificates of a PEM text.
    #[must_use]
    pub fn from_pem(pem: &[u8], source: &str) -> Option<Self> {
        // Broken ones are left out, as every TLS library does.
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem).flatten().collect();
        let mut store = RootCertStore::empty();
        let (added, _) = store.add_parsable_certificates(certificates.iter().cloned());
        (added > 0).then(|| Roots { source: source.to_owned(), store, certificates })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.store.len()
    }

    fn built_in() -> Self {
        let store = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        Roots { source: "built-in list".to_owned(), store, certificates: Vec::new() }
    }

    fn empty(file: &Path) -> Self {
        let source = file.display().to_string();
        Roots { source, store: RootCertStore::empty(), certificates: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_list_is_there_and_a_missing_file_is_nothing() {
        assert!(Roots::built_in().count() > 50);
        assert!(Roots::from_file(Path::new("/nonexistent/bundle.pem")).is_none());
        assert!(
            Roots::from_pem(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "x").is_none()
        );
        assert_eq!(Roots::empty(Path::new("/a")).count(), 0);
        assert!(Roots::load().count() > 0, "this machine has a bundle, or the list applies");
    }
}
