//! STARTTLS with a real handshake. The certificates beside this file were made for these tests:
//! `server.pem` is for `localhost` and signed by `ca.pem`, which no system trusts.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

/// Offers STARTTLS, and takes one mail inside it. Ends with the mail, or with why there was none.
fn serve() -> (u16, JoinHandle<std::io::Result<String>>) {
    let chain = CertificateDer::pem_slice_iter(include_bytes!("server.pem")).collect::<Result<Vec<_>, _>>().unwrap();
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
        say(plain.get_mut(), "220 mx.test")?;
        hear(&mut plain, "EHLO")?;
        say(plain.get_mut(), "250-mx.test\r\n250 STARTTLS")?;
        hear(&mut plain, "STARTTLS")?;
        say(plain.get_mut(), "220 go on")?;
        let session = ServerConnection::new(Arc::new(config)).map_err(std::io::Error::other)?;
        let mut tls = BufReader::new(StreamOwned::new(session, plain.into_inner()));
        let offers = "250-mx.test\r\n250-AUTH PLAIN\r\n250 PIPELINING";
        for (expected, answer) in [
            ("EHLO", offers),
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

fn options(port: u16) -> SmtpOptions {
    SmtpOptions {
        tls: Tls::Starttls,
        username: Some("shop".to_owned()),
        password: Some("s3cret".to_owned().into()),
        ca_file: Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/senders/smtp/tests/ca.pem")),
        ..SmtpOptions::new("localhost", port)
    }
}

#[tokio::test]
async fn a_mail_goes_out_encrypted_when_the_certificate_is_trusted() {
    let (port, server) = serve();
    let outcome = SmtpFactory::new(options(port)).unwrap().open().send(&envelope()).await;
    assert_eq!(word(&outcome), "sent 1a-2b", "{outcome:?}");
    assert!(server.join().unwrap().unwrap().contains("Subject: Hi"));
}

#[tokio::test]
async fn a_certificate_that_does_not_convince_stops_everything() {
    let check = async |change: fn(&mut SmtpOptions), expected: &str| {
        let (port, server) = serve();
        let mut options = options(port);
        change(&mut options);
        let outcome = SmtpFactory::new(options).unwrap().open().send(&envelope()).await;
        let Outcome::Pause { reply, pause } = outcome else { panic!("{outcome:?}") };
        assert!(reply.starts_with(expected), "{reply}");
        assert_eq!(pause, Duration::from_secs(300));
        assert!(server.join().unwrap().is_err(), "nothing was said inside");
    };
    check(|options| options.ca_file = None, "STARTTLS: invalid peer certificate: UnknownIssuer").await;
    check(
        |options| options.host = "127.0.0.1".to_owned(),
        "STARTTLS: invalid peer certificate: certificate not valid for name",
    )
    .await;
}

#[test]
fn options_that_cannot_work_are_refused() {
    let check = |change: fn(&mut SmtpOptions), expected: &str| {
        let mut options = options(25);
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
