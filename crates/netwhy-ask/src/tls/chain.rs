//! What is wrong with a chain of certificates: everything, not the first thing. No I/O, no clock.

use std::time::Duration;

use netwhy_facts::tls::{CertProblem, Certificate};
use rustls::CertificateError;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use x509_cert::der::Decode;
use x509_cert::der::oid::AssociatedOid;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{AuthorityInfoAccessSyntax, BasicConstraints, SubjectAltName};

use super::Roots;

/// The facts of a chain and its problems.
pub(super) struct Judged {
    pub(super) chain: Vec<Certificate>,
    pub(super) problems: Vec<CertProblem>,
}

/// Judges what a peer sent, leaf first, for a name at a time.
pub(super) fn judge(sent: &[CertificateDer<'_>], name: &ServerName<'_>, now_s: i64, roots: &Roots) -> Judged {
    let mut problems = Vec::new();
    let mut parsed = Vec::new();
    for (position, der) in sent.iter().enumerate() {
        match x509_cert::Certificate::from_der(der) {
            Ok(certificate) => parsed.push(Parsed::new(der, &certificate)),
            Err(error) => problems.push(CertProblem::Unparsable { position, why: error.to_string() }),
        }
    }
    let chain = parsed.iter().map(|one| one.fact.clone()).collect();
    let leaf_is_known = parsed.first().is_some_and(|leaf| sent.first() == Some(leaf.der));
    if let (true, Some(leaf), Some(der)) = (leaf_is_known, parsed.first(), sent.first()) {
        problems.extend(name_problem(der, leaf, name));
        problems.extend(trust_problems(sent, &parsed, now_s, roots));
    }
    Judged { chain, problems }
}

/// A certificate with what judging it needs.
struct Parsed<'a> {
    der: &'a CertificateDer<'a>,
    fact: Certificate,
    /// It names where its issuer's certificate is published.
    names_issuers_place: bool,
}

impl<'a> Parsed<'a> {
    fn new(der: &'a CertificateDer<'a>, certificate: &x509_cert::Certificate) -> Self {
        let tbs = certificate.tbs_certificate();
        let names = match tbs.get_extension::<SubjectAltName>() {
            Ok(Some((_, names))) => names.0.iter().filter_map(alternative).collect(),
            _ => Vec::new(),
        };
        let constraints = tbs.get_extension::<BasicConstraints>();
        let seconds = |time: x509_cert::time::Time| {
            i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
        };
        let (subject, issuer) = (tbs.subject().to_string(), tbs.issuer().to_string());
        let access = AuthorityInfoAccessSyntax::OID;
        Parsed {
            der,
            names_issuers_place: tbs
                .extensions()
                .is_some_and(|extensions| extensions.iter().any(|one| one.extn_id == access)),
            fact: Certificate {
                self_signed: tbs.subject() == tbs.issuer(),
                subject,
                issuer,
                names,
                not_before_s: seconds(tbs.validity().not_before),
                not_after_s: seconds(tbs.validity().not_after),
                serial: tbs.serial_number().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect(),
                is_ca: matches!(constraints, Ok(Some((_, constraints))) if constraints.ca),
            },
        }
    }

    fn is_valid_at(&self, now_s: i64) -> bool {
        (self.fact.not_before_s..=self.fact.not_after_s).contains(&now_s)
    }

    fn date_problem(&self, now_s: i64) -> Option<CertProblem> {
        let subject = self.fact.subject.clone();
        if now_s > self.fact.not_after_s {
            Some(CertProblem::Expired { subject, not_after_s: self.fact.not_after_s })
        } else if now_s < self.fact.not_before_s {
            Some(CertProblem::NotYetValid { subject, not_before_s: self.fact.not_before_s })
        } else {
            None
        }
    }
}

fn alternative(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
        GeneralName::IpAddress(octets) => match octets.as_bytes() {
            &[a, b, c, d] => Some(std::net::Ipv4Addr::new(a, b, c, d).to_string()),
            bytes => {
                let octets: [u8; 16] = bytes.try_into().ok()?;
                Some(std::net::Ipv6Addr::from(octets).to_string())
            }
        },
        _ => None,
    }
}

fn name_problem(der: &CertificateDer<'_>, leaf: &Parsed<'_>, name: &ServerName<'_>) -> Option<CertProblem> {
    let certificate = match ParsedCertificate::try_from(der) {
        Ok(certificate) => certificate,
        // Readable to one parser and not to the other.
        Err(error) => return Some(CertProblem::Unparsable { position: 0, why: error.to_string() }),
    };
    verify_server_name(&certificate, name).err().map(|_| CertProblem::NameMismatch {
        wanted: name.to_str().into_owned(),
        names: leaf.fact.names.clone(),
    })
}

fn trust_problems(
    sent: &[CertificateDer<'_>],
    parsed: &[Parsed<'_>],
    now_s: i64,
    roots: &Roots,
) -> Vec<CertProblem> {
    // Trusted by itself, as some hosts do with a self-made certificate.
    let leaf_is_root = sent.first().is_some_and(|leaf| roots.certificates.iter().any(|root| root == leaf));
    if !leaf_is_root && verify(sent, now_s, roots).is_ok() {
        return Vec::new();
    }
    let path = path(parsed);
    let mut problems: Vec<CertProblem> = path.iter().filter_map(|one| one.date_problem(now_s)).collect();
    if leaf_is_root {
        problems.truncate(1);
        problems.retain(|_| path.first().is_some_and(|leaf| !leaf.is_valid_at(now_s)));
        return problems;
    }
    // Judged at a time when all of the path is valid, what remains is not a matter of dates.
    match verify(sent, common_time(&path).unwrap_or(now_s), roots) {
        Ok(()) if problems.is_empty() => {
            problems
                .push(CertProblem::Other { what: "not valid now, by a certificate not on the path".into() });
        }
        Ok(()) => {}
        Err(error) => problems.extend(untrusted(&error, &path)),
    }
    problems
}

/// Why a chain leads nowhere.
fn untrusted(error: &rustls::Error, path: &[&Parsed<'_>]) -> Option<CertProblem> {
    let (leaf, last) = (path.first()?, path.last()?);
    if leaf.fact.self_signed {
        return Some(CertProblem::SelfSigned { subject: leaf.fact.subject.clone() });
    }
    Some(match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            if last.fact.self_signed {
                CertProblem::UnknownIssuer { issuer: last.fact.subject.clone() }
            } else if last.names_issuers_place && path.len() == 1 {
                CertProblem::MissingIntermediate { issuer: last.fact.issuer.clone() }
            } else {
                CertProblem::UnknownIssuer { issuer: last.fact.issuer.clone() }
            }
        }
        rustls::Error::InvalidCertificate(CertificateError::BadSignature) => {
            CertProblem::BadSignature { subject: leaf.fact.subject.clone() }
        }
        other => CertProblem::Other { what: other.to_string() },
    })
}

/// The certificates from the leaf on, each followed by the one of its issuer if that was sent.
fn path<'p, 'a>(parsed: &'p [Parsed<'a>]) -> Vec<&'p Parsed<'a>> {
    let mut path: Vec<&Parsed<'_>> = parsed.first().into_iter().collect();
    while let Some(last) = path.last() {
        if last.fact.self_signed {
            break;
        }
        let issuer = parsed.iter().find(|one| {
            one.fact.subject == last.fact.issuer && !path.iter().any(|known| known.der == one.der)
        });
        match issuer {
            Some(issuer) => path.push(issuer),
            None => break,
        }
    }
    path
}

/// A moment at which all of them are valid.
fn common_time(path: &[&Parsed<'_>]) -> Option<i64> {
    let from = path.iter().map(|one| one.fact.not_before_s).max()?;
    let to = path.iter().map(|one| one.fact.not_after_s).min()?;
    (from <= to).then(|| from + (to - from) / 2)
}

fn verify(sent: &[CertificateDer<'_>], at_s: i64, roots: &Roots) -> Result<(), rustls::Error> {
    let none = rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
    let (leaf, intermediates) = sent.split_first().ok_or(none)?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at_s).unwrap_or(0)));
    verify_server_cert_signed_by_trust_anchor(
        &ParsedCertificate::try_from(leaf)?,
        &roots.store,
        intermediates,
        at,
        ring::default_provider().signature_verification_algorithms.all,
    )
}
