//! What https needs: whom to trust, who we are, and plain words for what goes wrong.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::error::{Error, Result};

/// Trust and identity, read from the files that the parameters name. Certificates are always verified.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    config: TlsConfig,
}

impl Tls {
    /// Reads the files. Without `ca` the system's trust store decides; without `key` the key is in `cert`'s file.
    pub(super) fn load(ca: Option<&Path>, cert: Option<&Path>, key: Option<&Path>) -> Result<Self> {
        let roots = match ca {
            Some(path) => read_certificates("ca_cert", path)?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        if roots.is_empty() {
            return Err(Error::InvalidArgument("the system has no trusted certificates; set ca_cert".to_owned()));
        }
        let identity = cert.map(|cert| read_identity(cert, key.unwrap_or(cert))).transpose()?;
        let roots: Vec<_> = roots.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        let config = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .client_cert(identity)
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .build();
        Ok(Self { config })
    }

    pub(super) fn config(&self) -> TlsConfig {
        self.config.clone()
    }
}

fn read_certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let pem = read(option, path)?;
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(unusable(option, path, "it holds no PEM certificate")),
        Err(error) => Err(unusable(option, path, &error.to_string())),
    }
}

fn read_identity(cert: &Path, key: &Path) -> Result<ClientCert> {
    let chain = read_certificates("ssl_cert", cert)?;
    let pem = read("ssl_cert_key", key)?;
    let der = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| unusable("ssl_cert_key", key, &format!("it holds no usable PEM private key ({error})")))?;
    // ureq takes a mismatch for a bug, so it is found here.
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            let builder = builder.with_root_certificates(RootCertStore::empty());
            builder.with_client_auth_cert(chain.clone(), der)
        })
        .map_err(|error| unusable("ssl_cert_key", key, &format!("it does not fit the certificate ({error})")))?;
    let key = PrivateKey::from_pem(&pem).map_err(|error| unusable("ssl_cert_key", key, &error.to_string()))?;
    let chain: Vec<_> = chain.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    Ok(ClientCert::new_with_certs(&chain, key))
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| unusable(option, path, &error.to_string()))
}

fn unusable(option: &str, path: &Path, why: &str) -> Error {
    Error::InvalidArgument(format!("the file '{}' given as {option} cannot be used: {why}", path.display()))
}

/// Whether the peer ended the TLS connection because it does not take this client's certificate, or wants one. On a new
/// connection that is before it reads a request, which the client of TLS 1.3 may have sent already.
pub(super) fn is_refusal(error: &ureq::Error) -> bool {
    use AlertDescription as Alert;
    let Some(rustls::Error::AlertReceived(alert)) = tls_error(error) else { return false };
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
            | Alert::HandshakeFailure
    )
}

/// Plain words for an error of TLS.
pub(super) fn explain(error: &ureq::Error) -> Option<String> {
    let error = tls_error(error)?;
    let words = match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the server's certificate was not issued by a trusted authority (check ca_cert)"
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the server's certificate has expired"
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the server's certificate is not valid for the endpoint's host",
        rustls::Error::InvalidCertificate(_) => "the server's certificate is not acceptable",
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server requires a client certificate (set ssl_cert and ssl_cert_key)"
        }
        rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown,
        ) => "the server rejected the client certificate, or requires one (check ssl_cert and ssl_cert_key)",
        rustls::Error::InvalidMessage(_) => "the endpoint does not speak TLS (is its protocol http?)",
        _ => "TLS failed",
    };
    Some(format!("{words}: {error}"))
}

fn tls_error(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => find(error),
        _ => None,
    }
}

fn find(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    if let Some(found) = inner.downcast_ref::<rustls::Error>() {
        return Some(found);
    }
    if let Some(nested) = inner.downcast_ref::<ureq::Error>() {
        return tls_error(nested);
    }
    match inner.source()?.downcast_ref::<rustls::Error>() {
        Some(found) => Some(found),
        None => inner.downcast_ref::<io::Error>().and_then(find),
    }
}
