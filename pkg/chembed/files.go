package chembed

import (
	"crypto/rand"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Names of environment variables that the configuration files refer to.
const (
	envGate            = "BURSAR_CLICKHOUSE_GATE"
	envWriterPassword  = "BURSAR_CLICKHOUSE_WRITER_PASSWORD"
	envAnalystPassword = "BURSAR_CLICKHOUSE_ANALYST_PASSWORD"
)

// secretBytes is the length of generated passwords before they are written as hexadecimal digits.
const secretBytes = 24

// files holds the engine's configuration. config.d and users.d are copies of
// deployments/clickhouse, which an embed cannot reach; a test keeps them equal.
//
//go:generate cp -r ../../deployments/clickhouse/config.d ../../deployments/clickhouse/users.d files/
//go:embed files
var files embed.FS

// writeFiles puts the configuration into dir, overwriting what is there but for the definition of `system`, and returns the passwords,
// which it makes if they are not there yet.
func writeFiles(dir string) (map[string]string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := keepSystem(filepath.Join(dir, storeDir)); err != nil {
		return nil, err
	}
	root, err := fs.Sub(files, "files")
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(dir, filepath.FromSlash(name))
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		content, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o600)
	})
	if err != nil {
		return nil, err
	}
	passwords := map[string]string{}
	for _, user := range []string{UserWriter, UserAnalyst} {
		password, err := ensurePassword(passwordFile(dir, user))
		if err != nil {
			return nil, err
		}
		passwords[user] = password
	}
	return passwords, nil
}

func passwordFile(dir, user string) string { return filepath.Join(dir, user+".password") }

// ensurePassword reads the password in path, or makes one and stores it for the owner's eyes only.
func ensurePassword(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err == nil {
		password := strings.TrimSpace(string(raw))
		if password == "" {
			return "", fmt.Errorf("%s is empty: delete it, and a new password is made", path)
		}
		return password, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	password, err := randomSecret()
	if err != nil {
		return "", err
	}
	return password, os.WriteFile(path, []byte(password+"\n"), 0o600)
}

func randomSecret() (string, error) {
	b := make([]byte, secretBytes)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return hex.EncodeToString(b), nil
}
