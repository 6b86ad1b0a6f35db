package runnerproto

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// The three files inside an encoded JIT configuration (actions/runner src/Runner.Common/HostContext.cs, GetConfigFile).
const (
	RunnerFile      = ".runner"
	CredentialsFile = ".credentials"
	RSAFile         = ".credentials_rsaparams"
)

// Config is a registration as a runner knows it: the content of an encoded JIT configuration.
type Config struct {
	// AgentID is the runner's id in the REST API, Name its name.
	AgentID int64
	Name    string
	// PoolID and PoolName are the agent pool, 1 and "Default" at GitHub for a repository.
	PoolID   int64
	PoolName string
	// ServerURL is ServerUrlV2: the base of the runner protocol.
	ServerURL string
	// WorkFolder is where jobs are checked out, relative to the runner's directory.
	WorkFolder string
	// Ephemeral says that the registration is good for one job.
	Ephemeral bool
	// DisableUpdate keeps the runner from updating itself.
	DisableUpdate bool
	// ClientID and AuthorizationURL are what the real runner trades its key for a token with.
	ClientID         string
	AuthorizationURL string
	// Token is the secret of the registration.
	Token string
	// RSA is the runner's private key.
	RSA RSAParameters
}

// Format prints name and id only, whatever the verb: the rest is secret.
func (c Config) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "runner %s (id %d)", c.Name, c.AgentID)
}

// runnerFile is .runner (actions/runner src/Runner.Common/ConfigurationStore.cs, RunnerSettings).
type runnerFile struct {
	AgentID       looseInt  `json:"AgentId"`
	AgentName     string    `json:"AgentName"`
	PoolID        looseInt  `json:"PoolId"`
	PoolName      string    `json:"PoolName"`
	Ephemeral     looseBool `json:"Ephemeral"`
	DisableUpdate looseBool `json:"DisableUpdate"`
	ServerURLV2   string    `json:"ServerUrlV2"`
	UseV2Flow     looseBool `json:"UseV2Flow"`
	WorkFolder    string    `json:"WorkFolder"`
}

// credentialsFile is .credentials.
type credentialsFile struct {
	Scheme string          `json:"scheme"`
	Data   credentialsData `json:"data"`
}

type credentialsData struct {
	ClientID         string `json:"clientId"`
	AuthorizationURL string `json:"authorizationUrl"`
	Token            string `json:"token"`
}

// Encode gives the configuration in the form of GitHub's encoded_jit_config: base64 of a JSON object that maps file
// names to the base64 of their content.
func Encode(c Config) (string, error) {
	files := map[string]any{
		RunnerFile: runnerFile{
			AgentID: looseInt(c.AgentID), AgentName: c.Name, PoolID: looseInt(c.PoolID), PoolName: c.PoolName,
			Ephemeral: looseBool(c.Ephemeral), DisableUpdate: looseBool(c.DisableUpdate),
			ServerURLV2: c.ServerURL, UseV2Flow: true, WorkFolder: c.WorkFolder,
		},
		CredentialsFile: credentialsFile{Scheme: "OAuth", Data: credentialsData{c.ClientID, c.AuthorizationURL, c.Token}},
		RSAFile:         c.RSA,
	}
	content := make(map[string][]byte, len(files)) // encoding/json writes []byte as base64
	for name, file := range files {
		b, err := json.Marshal(file)
		if err != nil {
			return "", fmt.Errorf("encode JIT configuration of %s: %s: %w", c.Name, name, err)
		}
		content[name] = b
	}
	outer, err := json.Marshal(content)
	if err != nil {
		return "", fmt.Errorf("encode JIT configuration of %s: %w", c.Name, err)
	}
	return base64.StdEncoding.EncodeToString(outer), nil
}

// Decode reads an encoded JIT configuration. Its errors never quote the input, which is secret.
func Decode(encoded string) (Config, error) {
	outer, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return Config{}, errors.New("decode JIT configuration: not base64")
	}
	var content map[string][]byte
	if json.Unmarshal(outer, &content) != nil {
		return Config{}, errors.New("decode JIT configuration: not a JSON object of base64 files")
	}
	var (
		r     runnerFile
		creds credentialsFile
		key   RSAParameters
	)
	for name, into := range map[string]any{RunnerFile: &r, CredentialsFile: &creds, RSAFile: &key} {
		file, ok := content[name]
		if !ok {
			return Config{}, fmt.Errorf("decode JIT configuration: no file %s in it", name)
		}
		if json.Unmarshal(bytes.TrimPrefix(file, []byte("\xef\xbb\xbf")), into) != nil {
			return Config{}, fmt.Errorf("decode JIT configuration: %s is not the JSON it should be", name)
		}
	}
	base, err := url.Parse(r.ServerURLV2)
	switch {
	case r.AgentID <= 0 || r.AgentName == "":
		return Config{}, fmt.Errorf("decode JIT configuration: %s names no agent", RunnerFile)
	case err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https"):
		return Config{}, fmt.Errorf("decode JIT configuration: %s has no usable ServerUrlV2", RunnerFile)
	case creds.Scheme != "OAuth" || creds.Data.Token == "":
		return Config{}, fmt.Errorf("decode JIT configuration: %s has no token for a stand-in of GitHub", CredentialsFile)
	}
	return Config{
		AgentID: int64(r.AgentID), Name: r.AgentName, PoolID: int64(r.PoolID), PoolName: r.PoolName,
		ServerURL: strings.TrimRight(r.ServerURLV2, "/"), WorkFolder: r.WorkFolder,
		Ephemeral: bool(r.Ephemeral), DisableUpdate: bool(r.DisableUpdate),
		ClientID: creds.Data.ClientID, AuthorizationURL: creds.Data.AuthorizationURL, Token: creds.Data.Token,
		RSA: key,
	}, nil
}

// looseBool reads true, "true" and "True" alike: GitHub writes strings where its own runner writes booleans.
type looseBool bool

// UnmarshalJSON implements [json.Unmarshaler].
func (b *looseBool) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	v, err := strconv.ParseBool(strings.Trim(string(data), `"`))
	if err != nil {
		return errors.New("not a boolean")
	}
	*b = looseBool(v)
	return nil
}

// looseInt reads 7 and "7" alike, for the same reason.
type looseInt int64

// UnmarshalJSON implements [json.Unmarshaler].
func (i *looseInt) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	v, err := strconv.ParseInt(strings.Trim(string(data), `"`), 10, 64)
	if err != nil {
		return errors.New("not a number")
	}
	*i = looseInt(v)
	return nil
}
