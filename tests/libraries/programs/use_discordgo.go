// discordgo on the REST port: only the address is replaced, as in the snippet that this program is compiled with.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/bwmarrin/discordgo"
)

const (
	defaultTimeout   = 20 * time.Second // that of discordgo
	reason           = "café ❤"
	unknownChannel   = 10003
	invalidWebhookID = 50027
)

var channel, guild = os.Getenv("CHANNEL"), os.Getenv("GUILD")

type command struct {
	Do          string
	Number      int
	Content     string
	Interaction discordgo.Interaction
}

type result map[string]any

func main() {
	session, err := newSession(os.Getenv("TOKEN"))
	if err != nil {
		panic(err)
	}
	if os.Getenv("SNIPPET") == "" {
		session.Client.Timeout = defaultTimeout
	}
	answers := json.NewEncoder(os.Stdout)
	answers.Encode(result{"ready": true})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var wanted command
		if err := json.Unmarshal(lines.Bytes(), &wanted); err != nil {
			panic(err)
		}
		answers.Encode(run(session, wanted))
	}
}

func run(session *discordgo.Session, wanted command) result {
	var err error
	switch wanted.Do {
	case "operations":
		err = operations(session, &wanted.Interaction)
	case "burst":
		return burst(session, wanted)
	case "send":
		_, err = session.ChannelMessageSend(channel, wanted.Content)
	case "channel":
		_, err = session.GuildChannelCreate(guild, wanted.Content, discordgo.ChannelTypeGuildText)
	default:
		err = fmt.Errorf("unknown command %q", wanted.Do)
	}
	if err != nil {
		return result{"error": kindOf(err), "text": err.Error()}
	}
	return result{}
}

// kindOf describes an error in a word: discordgo has no type for the status that it has given up to repeat.
func kindOf(err error) string {
	var refused *discordgo.RESTError
	if errors.As(err, &refused) {
		return fmt.Sprintf("RESTError %d", refused.Response.StatusCode)
	}
	const exceeded = "Exceeded Max retries "
	if text := err.Error(); strings.HasPrefix(text, exceeded) {
		return strings.Join(strings.Fields(text[len(exceeded):])[:2], " ")
	}
	return fmt.Sprintf("%T", err)
}

func burst(session *discordgo.Session, wanted command) result {
	var group sync.WaitGroup
	var lock sync.Mutex
	failures := map[string]int{}
	sent := 0
	for number := 0; number < wanted.Number; number++ {
		group.Add(1)
		go func(number int) {
			defer group.Done()
			_, err := session.ChannelMessageSend(channel, fmt.Sprintf("%s %d", wanted.Content, number))
			lock.Lock()
			defer lock.Unlock()
			if err == nil {
				sent++
			} else {
				failures[kindOf(err)]++
			}
		}(number)
	}
	group.Wait()
	return result{"sent": sent, "errors": failures}
}

func operations(session *discordgo.Session, interaction *discordgo.Interaction) error {
	message, err := session.ChannelMessageSend(channel, "hello")
	if err != nil {
		return err
	}
	if _, err = session.ChannelMessageEdit(channel, message.ID, "edited"); err != nil {
		return err
	}
	if err = session.MessageReactionAdd(channel, message.ID, "👍"); err != nil {
		return err
	}
	if err = upload(session); err != nil {
		return err
	}
	if found, err := session.Guild(guild); err != nil || found.ID != guild {
		return fmt.Errorf("guild: %w", err)
	}
	if members, err := session.GuildMembers(guild, "", 3); err != nil || len(members) != 3 {
		return fmt.Errorf("%d members: %w", len(members), err)
	}
	if err = makeChannel(session); err != nil {
		return err
	}
	if err = useWebhook(session); err != nil {
		return err
	}
	if err = session.ChannelMessageDelete(channel, message.ID); err != nil {
		return err
	}
	response := &discordgo.InteractionResponse{
		Type: discordgo.InteractionResponseChannelMessageWithSource,
		Data: &discordgo.InteractionResponseData{Content: "answers"},
	}
	if err = session.InteractionRespond(interaction, response); err != nil {
		return err
	}
	_, err = session.Channel("1")
	return expect(err, http.StatusNotFound, unknownChannel)
}

func upload(session *discordgo.Session) error {
	block := make([]byte, 256)
	for number := range block {
		block[number] = byte(number)
	}
	file := bytes.Repeat(block, 12_288)
	message, err := session.ChannelMessageSendComplex(channel, &discordgo.MessageSend{
		Content: "uploads",
		Files:   []*discordgo.File{{Name: "three-mib.bin", Reader: bytes.NewReader(file)}},
	})
	if err == nil && message.Attachments[0].Size != len(file) {
		err = fmt.Errorf("an attachment of %d bytes", message.Attachments[0].Size)
	}
	return err
}

func makeChannel(session *discordgo.Session) error {
	withReason := discordgo.WithAuditLogReason(url.PathEscape(reason)) // discordgo does not encode it
	made, err := session.GuildChannelCreate(guild, "made", discordgo.ChannelTypeGuildText, withReason)
	if err == nil {
		_, err = session.ChannelDelete(made.ID)
	}
	return err
}

func useWebhook(session *discordgo.Session) error {
	hook, err := session.WebhookCreate(channel, "hook", "")
	if err != nil {
		return err
	}
	if _, err = session.WebhookExecute(hook.ID, hook.Token, true, &discordgo.WebhookParams{Content: "by webhook"}); err != nil {
		return err
	}
	_, err = session.WebhookExecute(hook.ID, "wrong", true, &discordgo.WebhookParams{Content: "not sent"})
	if err = expect(err, http.StatusUnauthorized, invalidWebhookID); err != nil {
		return err
	}
	return session.WebhookDelete(hook.ID)
}

// expect returns an error unless err is Discord's refusal with a status and a code.
func expect(err error, status int, code int) error {
	var refused *discordgo.RESTError
	if errors.As(err, &refused) && refused.Response.StatusCode == status && refused.Message != nil && refused.Message.Code == code {
		return nil
	}
	return fmt.Errorf("%d with code %d expected: %w", status, code, err)
}
