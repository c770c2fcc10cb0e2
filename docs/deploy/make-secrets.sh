#!/bin/sh
# Make what compose.yaml reads from ./secrets, except what is there: a key, Django's secret key, and a certificate for
# localhost that no browser trusts.
#
#   docs/deploy/make-secrets.sh secrets
set -eu

folder="${1:?usage: make-secrets.sh FOLDER}"

# The folder keeps other users of this machine out. The files in it are readable, because the containers' users, who are
# not this one, read them through a mount of their own.
mkdir -p "$folder"
chmod 700 "$folder"
umask 022

for name in api_key secret_key; do
    if [ ! -e "$folder/$name" ]; then
        openssl rand -hex 32 >"$folder/$name"
    fi
done
if [ ! -e "$folder/tls.key" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -keyout "$folder/tls.key" -out "$folder/tls.crt" 2>/dev/null
    chmod 644 "$folder/tls.key"
fi
