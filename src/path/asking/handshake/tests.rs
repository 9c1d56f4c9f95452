//! Handshakes with servers that show what they should and what they should not.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// An authority of this name: what it issues with, and whoever trusts it.
fn authority(name: &str) -> (Issuer<'static, KeyPair>, Trust) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), Trust::read(pem.as_bytes()))
}

/// What a server's certificate says, as it should be.
fn good() -> CertificateParams {
    let mut params = CertificateParams::new(["www.foobar.com".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "www.foobar.com");
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params
}

/// What comes of a handshake with whoever shows this certificate: issued by `issuer`, or by itself.
async fn shown(
    params: CertificateParams,
    issuer: Option<&Issuer<'static, KeyPair>>,
    trust: &Trust,
) -> (Tls, Option<Trouble>) {
    let key = KeyPair::generate().unwrap();
    let certificate = match issuer {
        Some(issuer) => params.signed_by(&key, issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        // Who is not believed is told so: an error at this end.
        let _ = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
    };
    let ask = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let (tls, shaken) = shake(stream, "www.foobar.com", trust).await;
        (tls, shaken.err())
    };
    tokio::join!(serve, ask).1
}

#[tokio::test]
async fn a_certificate_of_the_authority_is_believed_and_kept() {
    let (issuer, trust) = authority("The lab");
    let (tls, trouble) = shown(good(), Some(&issuer), &trust).await;
    assert_eq!(trouble, None);
    let agreed = tls.agreed.unwrap();
    assert_eq!((agreed.version.as_str(), agreed.alpn.as_deref()), ("TLSv1.3", Some("http/1.1")));
    assert!(agreed.cipher.starts_with("TLS_") && !agreed.resumed, "{agreed:?}");
    assert_eq!(tls.sni.as_deref(), Some("www.foobar.com"));
    let [own] = &tls.chain[..] else { panic!("{:?}", tls.chain) };
    assert!(own.subject.contains("www.foobar.com") && own.issuer.contains("The lab"), "{own:?}");
    assert_eq!((own.names.as_slice(), own.from), (&["www.foobar.com".to_owned()][..], 1_577_836_800));
    let trusted = tls.trusted.unwrap();
    assert_eq!(trusted.subject, own.issuer);
}

#[tokio::test]
async fn what_is_not_believed_is_kept_and_refused_for_its_own_reason() {
    let (issuer, trust) = authority("The lab");
    let (stranger, _) = authority("A stranger");
    let wrong = |change: fn(&mut CertificateParams)| {
        let mut params = good();
        change(&mut params);
        params
    };
    let expired = wrong(|params| params.not_after = rcgen::date_time_ymd(2021, 1, 1));
    let early = wrong(|params| params.not_before = rcgen::date_time_ymd(4000, 1, 1));
    let other = wrong(|params| {
        params.subject_alt_names = vec![rcgen::SanType::DnsName("wrong.foobar.com".try_into().unwrap())];
    });
    for (params, issuer, trust, doubt) in [
        (expired, Some(&issuer), &trust, Doubt::Expired),
        (early, Some(&issuer), &trust, Doubt::NotYet),
        (other, Some(&issuer), &trust, Doubt::OtherName),
        (good(), None, &trust, Doubt::SelfSigned),
        (good(), Some(&stranger), &trust, Doubt::UnknownIssuer),
        (good(), Some(&issuer), &Trust::default(), Doubt::UnknownIssuer),
    ] {
        let (tls, trouble) = shown(params, issuer, trust).await;
        assert_eq!(trouble, Some(Trouble::Doubted(doubt)));
        assert_eq!((tls.chain.len(), tls.agreed), (1, None));
    }
}

#[tokio::test]
async fn what_is_no_handshake_is_told_as_it_was() {
    let met = async |answer: &'static [u8], resets: bool| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            // One record: a header of five octets, and as many as its last two say (RFC 8446 §5.1).
            let mut header = [0; 5];
            stream.read_exact(&mut header).await.unwrap();
            let mut hello = vec![0; u16::from_be_bytes([header[3], header[4]]).into()];
            stream.read_exact(&mut hello).await.unwrap();
            stream.write_all(answer).await.unwrap();
            if resets {
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
        };
        let ask = async {
            let stream = TcpStream::connect(address).await.unwrap();
            let (tls, shaken) = shake(stream, "127.0.0.1", &Trust::default()).await;
            assert_eq!((tls.sni, tls.chain), (None, Vec::new()));
            shaken.err().unwrap()
        };
        tokio::join!(serve, ask).1
    };
    let plain = met(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", false).await;
    assert!(matches!(&plain, Trouble::NoTls(why) if why.contains("plain HTTP")), "{plain:?}");
    // handshake_failure, fatal (RFC 8446 §6.2).
    let alert = met(&[21, 3, 3, 0, 2, 2, 40], false).await;
    assert!(matches!(&alert, Trouble::NoTls(why) if why.contains("HandshakeFailure")), "{alert:?}");
    assert_eq!(met(b"", true).await, Trouble::Reset);
    assert_eq!(met(b"", false).await, Trouble::Closed);
}
