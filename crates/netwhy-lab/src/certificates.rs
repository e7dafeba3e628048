//! Certificates for the TLS cases, made anew for each laboratory and good for nothing else.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
};

use crate::error::{LabError, Result};
use crate::lab::Lab;

/// An authority that can issue.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    /// Not a root: what it issues says where its own certificate can be fetched.
    below: bool,
}

/// What to issue.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The name it is for.
    pub name: &'a str,
    /// Years of the first and the last first of January it is good for.
    pub years: (i32, i32),
}

fn failed(error: rcgen::Error) -> LabError {
    LabError::Unexpected(format!("make a certificate: {error}"))
}

fn authority(name: &str, by: Option<&Authority>) -> Result<Authority> {
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2120, 1, 1));
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = match by {
        None => params.self_signed(&key),
        Some(by) => params.signed_by(&key, &by.issuer),
    };
    let pem = certificate.map_err(failed)?.pem();
    Ok(Authority { issuer: Issuer::new(params, key), pem, below: by.is_some() })
}

/// Authority information access (RFC 5280 section 4.2.2.1): one caIssuers entry with a short URL.
fn where_the_issuer_is(url: &str) -> CustomExtension {
    let tagged = |tag: u8, content: &[u8]| {
        let mut out = vec![tag, content.len() as u8];
        out.extend_from_slice(content);
        out
    };
    // 1.3.6.1.5.5.7.48.2 (id-ad-caIssuers), then the URL as a GeneralName of choice 6.
    let mut description = tagged(0x06, &[0x2b, 6, 1, 5, 5, 7, 0x30, 2]);
    description.extend(tagged(0x86, url.as_bytes()));
    let content = tagged(0x30, &tagged(0x30, &description));
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], content)
}

impl Authority {
    /// One that signs itself.
    pub fn new(name: &str) -> Result<Self> {
        authority(name, None)
    }

    /// One below this one.
    pub fn intermediate(&self, name: &str) -> Result<Self> {
        authority(name, Some(self))
    }
}

impl Lab {
    fn keep(&self, file: &str, text: &str) -> Result<PathBuf> {
        let path = self.directory().join(file);
        std::fs::write(&path, text).map_err(LabError::io(format!("write {}", path.display())))?;
        Ok(path)
    }

    /// Makes every program in every node trust this authority, and no other.
    pub fn trust(&mut self, authority: &Authority) -> Result<String> {
        let path = self.keep("trusted.pem", &authority.pem)?.display().to_string();
        self.set_environment("SSL_CERT_FILE", &path);
        Ok(path)
    }

    /// A certificate that signs itself; the files with it and with the key.
    pub fn self_signed(&self, wish: Wish<'_>) -> Result<(String, String)> {
        let mut params = CertificateParams::new(vec![wish.name.to_owned()]).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, wish.name);
        params.not_before = date_time_ymd(wish.years.0, 1, 1);
        params.not_after = date_time_ymd(wish.years.1, 1, 1);
        let key = KeyPair::generate().map_err(failed)?;
        let own = params.self_signed(&key).map_err(failed)?.pem();
        let (own, key) = (self.keep("self.pem", &own)?, self.keep("self.key", &key.serialize_pem())?);
        Ok((own.display().to_string(), key.display().to_string()))
    }

    /// Issues a certificate; the files with the chain (with `and` behind it) and the key.
    pub fn issue(&self, by: &Authority, wish: Wish<'_>, and: &[&Authority]) -> Result<(String, String)> {
        let mut params = CertificateParams::new(vec![wish.name.to_owned()]).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, wish.name);
        params.not_before = date_time_ymd(wish.years.0, 1, 1);
        params.not_after = date_time_ymd(wish.years.1, 1, 1);
        if by.below {
            params.custom_extensions.push(where_the_issuer_is("http://pki.example.test/issuer.der"));
        }
        let key = KeyPair::generate().map_err(failed)?;
        let leaf = params.signed_by(&key, &by.issuer).map_err(failed)?.pem();
        let chain: String = std::iter::once(leaf).chain(and.iter().map(|one| one.pem.clone())).collect();
        let stem = wish.name.replace('.', "-");
        let years = format!("{}-{}", wish.years.0, wish.years.1);
        let chain = self.keep(&format!("{stem}-{years}.pem"), &chain)?;
        let key = self.keep(&format!("{stem}-{years}.key"), &key.serialize_pem())?;
        Ok((chain.display().to_string(), key.display().to_string()))
    }

    /// What a person would do about the TLS cases: a proper certificate of a trusted authority, and a service
    /// on port 8443 of `server` that has it.
    pub fn proper_tls(&mut self) -> Result<()> {
        let ca = Authority::new("Lab Root of Today")?;
        self.trust(&ca)?;
        let wish = Wish { name: "web.example.test", years: (2025, 2101) };
        let (chain, key) = self.issue(&ca, wish, &[])?;
        self.stop_all_but("server", "web");
        self.serve("server", "tls", "tls", &["[::]:8443", &chain, &key]).map(drop)
    }
}
