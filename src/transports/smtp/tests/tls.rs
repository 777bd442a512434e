//! STARTTLS and implicit TLS with a real handshake. The certificates beside this file were made for
//! these tests: `server.pem` is for `localhost` and signed by `ca.pem`, which no system trusts;
//! `expired.pem` is the same from 2020.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

const SERVER: &[u8] = include_bytes!("server.pem");
const EXPIRED: &[u8] = include_bytes!("expired.pem");

/// Offers STARTTLS or encrypts at once, and takes one mail. Ends with the mail, or with why there was
/// none.
fn serve(tls: Tls, certificate: &'static [u8]) -> (u16, JoinHandle<std::io::Result<String>>) {
    serve_behind(tls, certificate, ["220 go on\r\n", ""])
}

/// The same where STARTTLS is answered so, in two writes.
fn serve_behind(
    tls: Tls,
    certificate: &'static [u8],
    answer: [&'static str; 2],
) -> (u16, JoinHandle<std::io::Result<String>>) {
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let mut plain = BufReader::new(listener.accept()?.0);
        if tls == Tls::Starttls {
            say(plain.get_mut(), "220 mx.test")?;
            hear(&mut plain, "EHLO")?;
            say(plain.get_mut(), "250-mx.test\r\n250 STARTTLS")?;
            hear(&mut plain, "STARTTLS")?;
            for piece in answer.into_iter().filter(|piece| !piece.is_empty()) {
                plain.get_mut().set_nodelay(true)?;
                plain.get_mut().write_all(piece.as_bytes())?;
            }
        }
        let session = ServerConnection::new(Arc::new(config)).map_err(std::io::Error::other)?;
        let mut tls_stream = BufReader::new(StreamOwned::new(session, plain.into_inner()));
        if tls == Tls::Implicit {
            say(tls_stream.get_mut(), "220 mx.test")?;
        }
        let mut tls = tls_stream;
        let offers = "250-mx.test\r\n250-AUTH PLAIN\r\n250 PIPELINING";
        for (expected, answer) in [
            ("EHLO", offers),
            ("AUTH PLAIN AHNob3AAczNjcmV0", "235 ok"),
            ("MAIL", "250 ok"),
            ("RCPT", "250 ok"),
            ("DATA", "354 go on"),
        ] {
            hear(&mut tls, expected)?;
            say(tls.get_mut(), answer)?;
        }
        let mut mail = String::new();
        while !mail.ends_with("\r\n.\r\n") {
            tls.read_line(&mut mail)?;
        }
        say(tls.get_mut(), "250 ok id=1a-2b")?;
        Ok(mail)
    });
    (port, thread)
}

fn say(stream: &mut impl Write, text: &str) -> std::io::Result<()> {
    stream.write_all(format!("{text}\r\n").as_bytes())?;
    stream.flush()
}

fn hear(stream: &mut BufReader<impl Read>, expected: &str) -> std::io::Result<()> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    match line.starts_with(expected) {
        true => Ok(()),
        false => Err(std::io::Error::other(format!("expected {expected}, heard {line}"))),
    }
}

fn options(port: u16, tls: Tls) -> SmtpOptions {
    SmtpOptions {
        tls,
        username: Some("shop".to_owned()),
        password: Some("s3cret".to_owned().into()),
        ca_file: Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/transports/smtp/tests/ca.pem")),
        ..SmtpOptions::new("localhost", port)
    }
}

#[tokio::test]
async fn a_mail_goes_out_encrypted_when_the_certificate_is_trusted() {
    for tls in [Tls::Starttls, Tls::Implicit] {
        let (port, server) = serve(tls, SERVER);
        let outcome = SmtpFactory::new(options(port, tls)).unwrap().open().send(&envelope()).await;
        assert_eq!(word(&outcome), "sent 1a-2b", "{tls:?} {outcome:?}");
        assert!(server.join().unwrap().unwrap().contains("Subject: Hi"));
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_convince_stops_everything() {
    let check = async |certificate, change: fn(&mut SmtpOptions), expected: &str| {
        for tls in [Tls::Starttls, Tls::Implicit] {
            let (port, server) = serve(tls, certificate);
            let mut options = options(port, tls);
            change(&mut options);
            let outcome = SmtpFactory::new(options).unwrap().open().send(&envelope()).await;
            let Outcome::Pause { reply, pause } = outcome else { panic!("{outcome:?}") };
            assert!(reply.contains(expected), "{tls:?} {reply}");
            assert_eq!(pause, Duration::from_secs(300));
            assert!(server.join().unwrap().is_err(), "nothing was said inside");
        }
    };
    check(SERVER, |options| options.ca_file = None, "name that authority's certificate as `ca_file`").await;
    let elsewhere = |options: &mut SmtpOptions| options.host = "127.0.0.1".to_owned();
    check(SERVER, elsewhere, "certificate is not for `127.0.0.1`; write the name that it is for as `host`").await;
    check(EXPIRED, |_| {}, "certificate has expired").await;
}

/// Who can write into the connection before it is encrypted must not be believed afterwards.
#[tokio::test]
async fn what_stands_in_the_clear_behind_the_answer_to_starttls_ends_the_connection() {
    let sent = "250 ok\r\n250 ok\r\n235 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n";
    let dead = "250-mx\r\n250 PIPELINING\r\n235 ok\r\n250 ok\r\n550 5.1.1 unknown user\r\n503 no\r\n";
    for forged in [sent, dead, "250 ok\r\n", "220 again\r\n", "2", "\n", "\0"] {
        let together: &'static str = format!("220 go on\r\n{forged}").leak();
        for answer in [[together, ""], ["220 go on\r\n", forged], ["220 go", " on\r\n2"], [together, forged]] {
            let (port, server) = serve_behind(Tls::Starttls, SERVER, answer);
            let outcome = SmtpFactory::new(options(port, Tls::Starttls)).unwrap().open().send(&envelope()).await;
            let Outcome::Pause { reply, .. } = outcome else { panic!("{answer:?} {outcome:?}") };
            let expected = ["in the clear behind its answer to STARTTLS", "does not speak TLS", "TLS with", "eof"];
            assert!(expected.iter().any(|words| reply.contains(words)), "{answer:?} {reply}");
            assert!(server.join().unwrap().is_err(), "nothing was said inside");
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_gets_nothing_in_the_clear() {
    let (port, server) = super::serve(vec![Say("220 mx.test ESMTP")]).await;
    let options = SmtpOptions { host: "localhost".to_owned(), ..options(port, Tls::Implicit) };
    let outcome = SmtpFactory::new(options).unwrap().open().send(&envelope()).await;
    let Outcome::Pause { reply, .. } = outcome else { panic!("{outcome:?}") };
    assert!(reply.contains("does not speak TLS here; write `tls: starttls`"), "{reply}");
    assert!(server.await.unwrap().mails.is_empty());
}

#[test]
fn options_that_cannot_work_are_refused() {
    let check = |change: fn(&mut SmtpOptions), expected: &str| {
        let mut options = options(25, Tls::Implicit);
        change(&mut options);
        let error = SmtpFactory::new(options).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(
        |options| options.ca_file = Some("/nowhere/ca.pem".into()),
        "cannot read the certificates in /nowhere/ca.pem: No such file",
    );
    check(|options| options.ca_file = Some("Cargo.toml".into()), "Cargo.toml: there is no certificate in it");
    check(|options| options.password = None, "`username` and `password` go together");
}
