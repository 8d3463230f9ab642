//! How connections are encrypted, and who this user is.

use std::fs::File;
use std::path::{Path, PathBuf};

use rdkafka::config::ClientConfig;

use super::certificate;
use super::token::Tokens;
use crate::config::secret::{self, Secret};
use crate::config::{KafkaConfig, SaslConfig, SaslMechanism, TlsConfig};
use crate::{Error, Result};

const CA: &str = "ssl.ca.location";

/// The security of one cluster's connections; its secrets are in memory, and are never shown.
#[derive(Debug, Clone, Default)]
pub struct Security {
    tls: Option<Tls>,
    sasl: Option<Sasl>,
}

#[derive(Debug, Clone)]
struct Tls {
    files: Vec<(&'static str, PathBuf)>,
    key_password: Option<Secret>,
    verify_hostname: bool,
}

#[derive(Debug, Clone)]
enum Sasl {
    Password { mechanism: SaslMechanism, user: String, password: Secret },
    Token(Tokens),
}

impl Security {
    /// Reads the secrets that the configuration names.
    ///
    /// # Errors
    /// When a file cannot be read, or when others can read a secret.
    pub fn read(config: &KafkaConfig) -> Result<Self> {
        let tls = config.tls.enabled.then(|| tls(&config.tls)).transpose()?;
        let mechanism = config.sasl.mechanism;
        let sasl = mechanism.map(|mechanism| sasl(mechanism, &config.sasl)).transpose()?;
        if tls.is_none()
            && let Some(Sasl::Token(_) | Sasl::Password { mechanism: SaslMechanism::Plain, .. }) =
                &sasl
        {
            tracing::warn!(
                "the Kafka password goes over the network in the clear: [kafka.tls] is off"
            );
        }
        Ok(Self { tls, sasl })
    }

    pub(super) fn tokens(&self) -> Option<&Tokens> {
        match &self.sasl {
            Some(Sasl::Token(tokens)) => Some(tokens),
            _ => None,
        }
    }

    /// What is wrong with the certificate of the first broker, where a connection failed for that.
    pub(super) fn certificate_fault(&self, brokers: &str, reason: &str) -> Option<String> {
        let tls = self.tls.as_ref().filter(|_| reason.contains("certificate verify failed"))?;
        let ca_file = tls.files.iter().find(|(property, _)| *property == CA);
        let ca_file = ca_file.map(|(_, path)| path.as_path());
        certificate::fault(brokers, ca_file, tls.verify_hostname)
    }

    /// Sets the properties that say all this to the library.
    pub(super) fn apply(&self, config: &mut ClientConfig) {
        let protocol = match (&self.tls, &self.sasl) {
            // Whatever the pass-through table says.
            (None, None) => return,
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(tls) = &self.tls {
            tls.apply(config);
        }
        if let Some(sasl) = &self.sasl {
            sasl.apply(config);
        }
    }
}

impl Tls {
    fn apply(&self, config: &mut ClientConfig) {
        for (property, path) in &self.files {
            config.set(*property, path.to_string_lossy());
        }
        if let Some(password) = &self.key_password {
            config.set("ssl.key.password", password.expose());
        }
        let identification = if self.verify_hostname { "https" } else { "none" };
        config.set("ssl.endpoint.identification.algorithm", identification);
    }
}

impl Sasl {
    fn apply(&self, config: &mut ClientConfig) {
        match self {
            Self::Password { mechanism, user, password } => {
                config.set("sasl.mechanism", mechanism.name());
                config.set("sasl.username", user);
                config.set("sasl.password", password.expose());
            }
            Self::Token(_) => {
                config.set("sasl.mechanism", SaslMechanism::OauthBearer.name());
            }
        }
    }
}

fn tls(config: &TlsConfig) -> Result<Tls> {
    let mut files = Vec::new();
    let mut add = |property, path: &Option<PathBuf>, check: fn(&Path) -> Result<File>, key| {
        if let Some(path) = path {
            check(path).map_err(|error| error.at(secret::place(key, path)))?;
            files.push((property, path.clone()));
        }
        Ok::<_, Error>(())
    };
    add(CA, &config.ca_file, readable, "kafka.tls.ca_file")?;
    let certificate = &config.certificate_file;
    add("ssl.certificate.location", certificate, readable, "kafka.tls.certificate_file")?;
    add("ssl.key.location", &config.key_file, secret::open, "kafka.tls.key_file")?;
    let key_password = read(config.key_password_file.as_ref(), "kafka.tls.key_password_file")?;
    Ok(Tls { files, key_password, verify_hostname: config.verify_hostname })
}

/// What `config::check` has let through has all that the mechanism needs.
fn sasl(mechanism: SaslMechanism, config: &SaslConfig) -> Result<Sasl> {
    let absent = |key: &str| Error::usage(format!("{} needs it", mechanism.name())).at(key);
    if mechanism != SaslMechanism::OauthBearer {
        let user = config.user.clone().ok_or_else(|| absent("kafka.sasl.user"))?;
        let key = "kafka.sasl.password_file";
        let password = read(config.password_file.as_ref(), key)?.ok_or_else(|| absent(key))?;
        return Ok(Sasl::Password { mechanism, user, password });
    }
    if let Some(path) = &config.token_file {
        Secret::of_key("kafka.sasl.token_file", path)?;
        return Ok(Sasl::Token(Tokens::File(path.clone())));
    }
    let key = "kafka.sasl.client_secret_file";
    Ok(Sasl::Token(Tokens::Client {
        url: config.token_url.clone().ok_or_else(|| absent("kafka.sasl.token_url"))?,
        id: config.client_id.clone().ok_or_else(|| absent("kafka.sasl.client_id"))?,
        secret: read(config.client_secret_file.as_ref(), key)?.ok_or_else(|| absent(key))?,
        scope: config.scope.clone(),
    }))
}

fn read(path: Option<&PathBuf>, key: &str) -> Result<Option<Secret>> {
    path.map(|path| Secret::of_key(key, path)).transpose()
}

fn readable(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| {
        Error::usage("the file cannot be read")
            .at(path.display().to_string())
            .detail(error.to_string())
    })
}
