//! Against servers on loopback, each with one thing wrong.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use netwhy_facts::flow::Proto;
use netwhy_facts::question::{App, Target};
use netwhy_facts::reading::Reading;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa,
    Issuer, KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConnection, WebPkiClientVerifier};

use super::*;
use crate::speak;

/// 2026-06-15.
const NOW: i64 = 1_781_481_600;
const NAME: &str = "db.internal";

/// An authority: its certificate, and what signs others.
struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params
}

fn authority(name: &str, parent: Option<&Authority>) -> Authority {
    let mut params = params(name);
    params.subject_alt_names.clear();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = match parent {
        None => params.self_signed(&key).unwrap(),
        Some(parent) => params.signed_by(&key, &parent.issuer).unwrap(),
    };
    Authority { certificate, issuer: Issuer::new(params, key) }
}

/// A leaf signed by an authority, changed as wanted: certificate and key.
fn leaf(by: &Authority, change: impl FnOnce(&mut CertificateParams)) -> (CertificateDer<'static>, KeyPair) {
    let mut params = params("leaf");
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, &by.issuer).unwrap().der().clone(), key)
}

fn roots(authorities: &[&Authority]) -> Roots {
    let pem: String = authorities.iter().map(|one| one.certificate.pem()).collect();
    Roots::from_pem(pem.as_bytes(), "test bundle").unwrap()
}

fn config(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap()
}

/// Serves TLS to every connection until the first that says something, which is answered in HTTP.
fn serve(config: ServerConfig) -> (SocketAddr, JoinHandle<()>) {
    let config = Arc::new(config);
    listen(move |mut stream| {
        let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut tls = rustls::Stream::new(&mut connection, &mut stream);
        let mut buffer = [0; 1024];
        if let Ok(1..) = tls.read(&mut buffer) {
            let _ = tls.write_all(b"HTTP/1.1 502 Bad Gateway\r\nServer: test\r\n\r\n");
            return;
        }
        let _ = tls.conn.complete_io(tls.sock);
    })
}

/// One connection at a time, as many as come within two seconds of each other.
fn listen(mut each: impl FnMut(TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let thread = std::thread::spawn(move || {
        let mut last = Instant::now();
        while last.elapsed() < Duration::from_millis(1_500) {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                    each(stream);
                    last = Instant::now();
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    });
    (peer, thread)
}

fn ask(peer: SocketAddr, roots: &Roots, name: &str) -> TlsHandshake {
    ask_for(peer, roots, name, Duration::from_secs(5))
}

fn ask_for(peer: SocketAddr, roots: &Roots, name: &str, patience: Duration) -> TlsHandshake {
    let stream = TcpStream::connect(peer).unwrap();
    let request = Request { server_name: name, alpn: &["http/1.1"], now_s: NOW, roots };
    let wait = Wait::until(Instant::now() + patience);
    handshake(stream, peer, &request, &Budget::new(100), wait).fact
}

/// Problems found with a chain.
fn problems(chain: Vec<CertificateDer<'static>>, key: &KeyPair, roots: &Roots) -> Vec<CertProblem> {
    let (peer, _server) = serve(config(chain, key));
    let fact = ask(peer, roots, NAME);
    assert_eq!(fact.outcome, TlsOutcome::Done, "{fact:?}");
    fact.problems
}

#[test]
fn a_good_chain_has_no_problem_and_all_its_facts() {
    let root = authority("Root", None);
    let middle = authority("Middle", Some(&root));
    let (certificate, key) = leaf(&middle, |params| {
        params.subject_alt_names.push(rcgen::SanType::IpAddress("203.0.113.9".parse().unwrap()));
    });
    let mut config = config(vec![certificate, middle.certificate.der().clone()], &key);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let (peer, _server) = serve(config);
    let fact = ask(peer, &roots(&[&root]), "db.internal.");
    assert_eq!((fact.outcome, fact.problems.len(), fact.chain.len()), (TlsOutcome::Done, 0, 2));
    assert_eq!((fact.version.as_deref(), fact.alpn.as_deref()), (Some("TLSv1.3"), Some("http/1.1")));
    assert!(fact.cipher.unwrap().starts_with("TLS13_"));
    assert_eq!(fact.roots, ("test bundle".to_owned(), 1));
    let leaf = &fact.chain[0];
    assert_eq!((leaf.subject.as_str(), leaf.issuer.as_str()), ("CN=leaf", "CN=Middle"));
    assert_eq!(leaf.names, ["db.internal", "203.0.113.9"]);
    assert_eq!((leaf.not_before_s, leaf.not_after_s), (1_767_225_600, 1_798_761_600));
    assert!(fact.chain[1].is_ca && !leaf.is_ca && !leaf.self_signed && !leaf.serial.is_empty());
    assert!(!fact.client_cert_requested);
    // The same certificate for its address, and for a name it has not.
    let stranger = ask(peer, &roots(&[&root]), "203.0.113.9");
    assert_eq!(stranger.problems, []);
    let wrong = ask(peer, &roots(&[&root]), "db.external");
    let names = fact.chain[0].names.clone();
    assert_eq!(wrong.problems, [CertProblem::NameMismatch { wanted: "db.external".into(), names }]);
}

#[test]
fn dates_are_judged_by_the_time_given() {
    let root = authority("Root", None);
    let trusted = roots(&[&root]);
    let (certificate, key) = leaf(&root, |params| params.not_after = date_time_ymd(2026, 6, 1));
    let expired = CertProblem::Expired { subject: "CN=leaf".into(), not_after_s: 1_780_272_000 };
    assert_eq!(problems(vec![certificate], &key, &trusted), [expired]);
    let (certificate, key) = leaf(&root, |params| params.not_before = date_time_ymd(2026, 7, 1));
    let early = CertProblem::NotYetValid { subject: "CN=leaf".into(), not_before_s: 1_782_864_000 };
    assert_eq!(problems(vec![certificate], &key, &trusted), [early]);
    // An intermediate that has expired under a leaf that has not.
    let mut params = params("Old");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = date_time_ymd(2026, 3, 1);
    let middle_key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&middle_key, &root.issuer).unwrap();
    let middle = Authority { certificate, issuer: Issuer::new(params, middle_key) };
    let (certificate, key) = leaf(&middle, |_| {});
    let chain = vec![certificate, middle.certificate.der().clone()];
    let [CertProblem::Expired { subject, .. }] = &problems(chain, &key, &trusted)[..] else { panic!() };
    assert_eq!(subject, "CN=Old");
}

#[test]
fn chains_that_lead_nowhere_are_told_apart() {
    let root = authority("Root", None);
    let other = authority("Other", None);
    let middle = authority("Middle", Some(&root));
    let trusted = roots(&[&root]);
    // A private authority that this host does not know; with its root sent, and without.
    let (certificate, key) = leaf(&other, |_| {});
    let unknown = CertProblem::UnknownIssuer { issuer: "CN=Other".into() };
    let with_root = vec![certificate.clone(), other.certificate.der().clone()];
    assert_eq!(problems(with_root, &key, &trusted), std::slice::from_ref(&unknown));
    assert_eq!(problems(vec![certificate], &key, &trusted), [unknown]);
    // Public authorities say where their certificate is published: here it should have been sent.
    let published = |params: &mut CertificateParams| {
        // SEQUENCE { SEQUENCE { id-ad-caIssuers, [6] "http://a/" } }
        let mut content = vec![0x30, 0x17, 0x30, 0x15, 0x06, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 2, 0x86, 9];
        content.extend(b"http://a/");
        let access = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], content);
        params.custom_extensions.push(access);
    };
    let (certificate, key) = leaf(&middle, published);
    let missing = CertProblem::MissingIntermediate { issuer: "CN=Middle".into() };
    assert_eq!(problems(vec![certificate.clone()], &key, &trusted), [missing]);
    assert_eq!(problems(vec![certificate, middle.certificate.der().clone()], &key, &trusted), []);
    // Signed by an authority of the same name with another key.
    let impostor = authority("Root", None);
    let (certificate, key) = leaf(&impostor, |_| {});
    let found = problems(vec![certificate], &key, &trusted);
    let bad = |one: &CertProblem| {
        matches!(one, CertProblem::BadSignature { .. } | CertProblem::UnknownIssuer { .. })
    };
    assert!(found.len() == 1 && bad(&found[0]), "{found:?}");
}

#[test]
fn a_self_signed_certificate_unless_it_is_trusted_itself() {
    let key = KeyPair::generate().unwrap();
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let mut params = params("self");
        params.is_ca = is_ca;
        let own = params.self_signed(&key).unwrap();
        let root = authority("Root", None);
        let found = problems(vec![own.der().clone()], &key, &roots(&[&root]));
        assert_eq!(found, [CertProblem::SelfSigned { subject: "CN=self".into() }]);
        let trusting = Roots::from_pem(own.pem().as_bytes(), "own").unwrap();
        assert_eq!(problems(vec![own.der().clone()], &key, &trusting), []);
    }
}

#[test]
fn several_things_wrong_are_all_named() {
    let other = authority("Other", None);
    let root = authority("Root", None);
    let (certificate, key) = leaf(&other, |params| {
        params.not_after = date_time_ymd(2026, 6, 1);
        params.subject_alt_names = vec![rcgen::SanType::DnsName("old.internal".try_into().unwrap())];
    });
    let found = problems(vec![certificate], &key, &roots(&[&root]));
    assert!(
        matches!(
            &found[..],
            [
                CertProblem::NameMismatch { .. },
                CertProblem::Expired { .. },
                CertProblem::UnknownIssuer { .. }
            ]
        ),
        "{found:?}"
    );
}

#[test]
fn a_certificate_that_does_not_parse_is_named_by_its_place() {
    let root = authority("Root", None);
    let (certificate, key) = leaf(&root, |_| {});
    let broken = CertificateDer::from(vec![0x30, 0x03, 0x02, 0x01, 0x01]);
    let found = problems(vec![certificate, broken], &key, &roots(&[&root]));
    assert!(matches!(&found[..], [CertProblem::Unparsable { position: 1, .. }]), "{found:?}");
    // As the leaf: no server would load it, so the judge alone is asked.
    let name = ServerName::try_from(NAME).unwrap();
    let judged = chain::judge(&[CertificateDer::from(vec![1, 2, 3])], &name, NOW, &roots(&[&root]));
    assert!(matches!(&judged.problems[..], [CertProblem::Unparsable { position: 0, .. }]));
    let (certificate, _) = leaf(&root, |_| {});
    let trusted = roots(&[&root]);
    let mut unparsable = 0;
    crate::testing::mutations(&certificate, 3_000, |bytes| {
        let chain = [CertificateDer::from(bytes)];
        let judged = chain::judge(&chain, &name, NOW, &trusted);
        unparsable += u32::from(matches!(judged.problems[..], [CertProblem::Unparsable { .. }]));
    });
    assert!(unparsable > 100);
}

#[test]
fn a_client_certificate_asked_for_and_insisted_on() {
    let root = authority("Root", None);
    let (certificate, key) = leaf(&root, |_| {});
    let mut store = rustls::RootCertStore::empty();
    store.add(root.certificate.der().clone()).unwrap();
    for (versions, optional) in [
        (&[&rustls::version::TLS13][..], true),
        (&[&rustls::version::TLS13], false),
        (&[&rustls::version::TLS12], false),
    ] {
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(store.clone()), Arc::clone(&provider));
        let verifier = if optional { verifier.allow_unauthenticated() } else { verifier };
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![certificate.clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let (peer, _server) = serve(config);
        let fact = ask(peer, &roots(&[&root]), NAME);
        assert!(fact.client_cert_requested);
        match (&fact.outcome, optional) {
            (TlsOutcome::Done, true) => {}
            (TlsOutcome::Alert { code: 116, name }, false) => assert_eq!(name, "certificate_required"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_older_server_is_spoken_to_and_a_refusal_is_passed_on() {
    let root = authority("Root", None);
    let (certificate, key) = leaf(&root, |_| {});
    let old = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let (peer, _server) = serve(old);
    let fact = ask(peer, &roots(&[&root]), NAME);
    assert_eq!((fact.outcome, fact.version.as_deref()), (TlsOutcome::Done, Some("TLSv1.2")));

    let mut picky = config(vec![certificate], &key);
    picky.alpn_protocols = vec![b"h2".to_vec()];
    let (peer, _server) = serve(picky);
    let fact = ask(peer, &roots(&[&root]), NAME);
    assert_eq!(fact.outcome, TlsOutcome::Alert { code: 120, name: "no_application_protocol".into() });
}

#[test]
fn no_common_version_says_what_the_server_speaks() {
    // A server of TLS 1.0 as far as its hello; it refuses every other offer.
    let (peer, _server) = listen(|mut stream| {
        let mut hello = [0; 2048];
        let length = stream.read(&mut hello).unwrap();
        let modern = hello[..length].windows(5).any(|window| window == [0, 43, 0, 3, 2]);
        if !modern && hello[9..11] == [3, 1] {
            let mut body = vec![3, 1];
            body.extend([5; 32]);
            body.extend([0, 0, 0x2f, 0]);
            let mut reply = vec![22, 3, 1, 0, body.len() as u8 + 4, 2, 0, 0, body.len() as u8];
            reply.extend(body);
            stream.write_all(&reply).unwrap();
        } else {
            stream.write_all(&[21, 3, 1, 0, 2, 2, 70]).unwrap();
        }
    });
    let fact = ask(peer, &roots(&[&authority("Root", None)]), NAME);
    let TlsOutcome::NoCommon { what, server_speaks } = fact.outcome else { panic!("{fact:?}") };
    assert_eq!(what, "protocol version");
    assert_eq!(server_speaks, ["TLSv1.0 TLS_RSA_WITH_AES_128_CBC_SHA"]);
}

#[test]
fn what_is_not_tls_and_what_says_nothing() {
    let trusted = roots(&[&authority("Root", None)]);
    for (says, name) in [
        (&b"SSH-2.0-OpenSSH\r\n"[..], "SSH"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"),
        (b"220 mail ESMTP\r\n", "SMTP or FTP"),
    ] {
        let (peer, _server) = listen(move |mut stream| {
            let _ = stream.write_all(says);
            let _ = stream.read(&mut [0; 2048]);
        });
        let fact = ask(peer, &trusted, NAME);
        let TlsOutcome::NotTls { looks_like, first } = fact.outcome else { panic!("{fact:?}") };
        assert_eq!(looks_like, name);
        assert!(!first.contains('\r'));
    }
    let (peer, _server) = listen(|mut stream| {
        let _ = stream.read(&mut [0; 2048]);
    });
    assert_eq!(ask(peer, &trusted, NAME).outcome, TlsOutcome::Closed { reset: false });
    let (peer, _server) = listen(|stream| {
        netwhy_sys::socket::Socket::from_tcp_stream(stream).unwrap().reset_on_close().unwrap();
    });
    assert_eq!(ask(peer, &trusted, NAME).outcome, TlsOutcome::Closed { reset: true });
    let (peer, _server) = listen(|mut stream| while let Ok(1..) = stream.read(&mut [0; 2048]) {});
    let fact = ask_for(peer, &trusted, NAME, Duration::from_millis(200));
    assert_eq!(fact.outcome, TlsOutcome::Timeout);
    assert!(fact.elapsed_us >= 200_000);
    let (peer, _server) = listen(|mut stream| {
        let _ = stream.read(&mut [0; 2048]);
        let _ = stream.write_all(&[22, 3, 3, 0, 4, 77, 0, 0, 0]);
    });
    assert!(matches!(ask(peer, &trusted, NAME).outcome, TlsOutcome::Garbage { .. }));
}

#[test]
fn an_application_speaks_http_over_it() {
    let root = authority("Root", None);
    let (certificate, key) = leaf(&root, |_| {});
    let (peer, _server) = serve(config(vec![certificate], &key));
    let target = Target {
        host: NAME.into(),
        literal: None,
        zone: None,
        port: peer.port(),
        proto: Proto::Tcp,
        app: App::Https,
        path: "/health".into(),
    };
    let stream = TcpStream::connect(peer).unwrap();
    let budget = Budget::new(100);
    let wait = Wait::until(Instant::now() + Duration::from_secs(5));
    let spoken = speak(stream, &target, NOW, &budget, &wait);
    let Some(Reading::Known { value: tls, .. }) = spoken.tls else { panic!() };
    assert_eq!(tls.0[0].outcome, TlsOutcome::Done);
    let Some(Reading::Known { value: http, .. }) = spoken.http else { panic!() };
    assert_eq!((http.0[0].status, http.0[0].error.as_deref()), (Some(502), None));
    assert_eq!(http.0[0].headers, [("Server".to_owned(), "test".to_owned())]);
    assert!(budget.spent() >= 2);
    // Nothing more is asked of a connection whose handshake failed.
    let (peer, _server) = listen(|mut stream| {
        let _ = stream.write_all(b"220 mail\r\n");
    });
    let spoken = speak(TcpStream::connect(peer).unwrap(), &target, NOW, &budget, &wait);
    assert!(spoken.tls.is_some() && spoken.http.is_none());
    let plain = Target { app: App::Http, ..target };
    let (peer, _server) = listen(|mut stream| {
        let _ = stream.read(&mut [0; 2048]);
        let _ = stream.write_all(b"HTTP/1.0 204 No Content\r\n\r\n");
    });
    let spoken = speak(TcpStream::connect(peer).unwrap(), &plain, NOW, &budget, &wait);
    let Some(Reading::Known { value: http, .. }) = spoken.http else { panic!() };
    assert_eq!(http.0[0].status, Some(204));
}

#[test]
fn damaged_flights_end_in_an_outcome() {
    // A whole flight of a server of TLS 1.2, recorded once.
    let root = authority("Root", None);
    let (certificate, key) = leaf(&root, |_| {});
    let mut server = ServerConnection::new(Arc::new(config(vec![certificate], &key))).unwrap();
    let recorder = Arc::new(Recorder::default());
    let mut client_config = recorder::config(&recorder, &[]).unwrap();
    client_config.enable_sni = true;
    let mut client =
        ClientConnection::new(Arc::new(client_config), ServerName::try_from(NAME).unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    server.read_tls(&mut hello.as_slice()).unwrap();
    server.process_new_packets().unwrap();
    let mut flight = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut flight).unwrap();
    }
    let mut versions = Vec::new();
    crate::testing::mutations(&flight, 150, |bytes| versions.push(bytes.to_vec()));
    let count = versions.len();
    let (peer, _server) = listen(move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&versions.pop().unwrap_or_default());
    });
    let trusted = roots(&[&root]);
    for _ in 0..count {
        let fact = ask(peer, &trusted, NAME);
        // Not meant for this client's key: it can never finish.
        assert_ne!(fact.outcome, TlsOutcome::Done);
    }
}
