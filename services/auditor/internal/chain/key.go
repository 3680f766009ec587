package chain

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Names of files in the log's directory.
const (
	keyName       = "key.pem"
	publicKeyName = "key.pub"
)

const (
	pemPrivate = "PRIVATE KEY" // PKCS #8, as openssl genpkey writes it
	pemPublic  = "PUBLIC KEY"  // PKIX
	maxKeyFile = 4096          // bytes
)

var errNotKey = errors.New("not an Ed25519 key in PEM")

// ReadPublicKey reads an Ed25519 public key in PEM, such as key.pub in a log's
// directory. To be worth anything it should be a copy that was taken to another
// place when the log was new.
func ReadPublicKey(path string) (ed25519.PublicKey, error) {
	der, err := readPEM(path, pemPublic)
	if err != nil {
		return nil, fmt.Errorf("reading the public key: %w", err)
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	key, ok := parsed.(ed25519.PublicKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("reading the public key: %s: %w", path, errors.Join(errNotKey, err))
	}
	return key, nil
}

func readPrivateKey(path string) (ed25519.PrivateKey, error) {
	der, err := readPEM(path, pemPrivate)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s: %w", path, errNotKey) // without err, which could quote the file
	}
	return key, nil
}

func readPEM(path, kind string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read from
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s: %w", path, errNotKey)
	}
	return block.Bytes, nil
}

// loadKey reads the key. If there is none, it makes one if mayCreate is set: as long
// as there is no log. The public key goes into dir.
func loadKey(path, dir string, mayCreate bool) (ed25519.PrivateKey, error) {
	key, err := readPrivateKey(path)
	if errors.Is(err, fs.ErrNotExist) && mayCreate {
		key, err = createKey(path)
	}
	if err != nil {
		return nil, err
	}
	return key, writePublicKey(filepath.Join(dir, publicKeyName), key)
}

func createKey(path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writeFile(path, pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}))
}

// writePublicKey does not touch a file that is already there: the auditor does not
// trust its content, and it may be evidence.
func writePublicKey(path string, key ed25519.PrivateKey) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der}))
}
