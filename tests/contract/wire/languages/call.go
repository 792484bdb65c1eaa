// Calls the proxy at the address given as the first argument, and prints parts of the responses as JSON.
package main

import (
	"context"
	"encoding/json"
	"os"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.org/client/go/discordproxy"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	connection, err := grpc.NewClient(os.Args[1],
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	check(err)
	client, ctx := discordproxy.NewDiscordApiClient(connection), context.Background()

	sent, err := client.SendChannelMessage(ctx, &discordproxy.SendChannelMessageRequest{
		ChannelId:  1 << 62,
		Content:    "from Go",
		Components: []*discordproxy.Component{{Type: discordproxy.Component_TEXT_DISPLAY, Content: "x"}},
	})
	check(err)
	channel, err := client.GetChannel(ctx, &discordproxy.ChannelId{ChannelId: 5})
	check(err)
	anything, err := client.Request(ctx, &discordproxy.ApiRequest{Method: "GET", Path: "/users/@me"})
	check(err)

	check(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"id":     strconv.FormatUint(sent.GetMessage().GetId(), 10),
		"isText": channel.GetChannel().GetType() == discordproxy.Channel_GUILD_TEXT,
		"status": anything.GetStatus(),
	}))
}
