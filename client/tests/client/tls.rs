//! Whom the client believes to be a node.

use std::sync::Arc;

use hapi_client::{ApiError, Client, Method};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Serves `{"ok":true}` to whoever connects by TLS; gives the address.
async fn serve(certificate: &CertifiedKey<KeyPair>) -> String {
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let (acceptor, listener) =
        (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = acceptor.accept(tcp).await {
                let _ = stream.read(&mut [0; 4096]).await.unwrap();
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"ok\":true}")
                    .await
                    .unwrap();
            }
        }
    });
    url
}

#[tokio::test]
async fn an_organisations_own_authority_is_believed_only_when_given() {
    let certificate = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let url = serve(&certificate).await;

    let stranger = Client::builder().nodes([&url]).build().unwrap();
    let error = stranger.request(Method::POST, "/", None).await.unwrap_err();
    assert!(
        matches!(&error, ApiError::Unreachable(cause) if cause.contains("authority that is not among")),
        "{error:?}"
    );

    let member = Client::builder().nodes([&url]).root_certificates(certificate.cert.pem()).build().unwrap();
    assert_eq!(member.request(Method::POST, "/", None).await.unwrap(), json!({"ok": true}));
}
